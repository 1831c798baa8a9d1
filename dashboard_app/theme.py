"""The page's colours: one table of tokens, each with a light and a dark value.

The series follow Okabe and Ito's palette, which people with any colour vision tell apart, darkened or lightened until
each reaches 3:1 against the surface it is drawn on. Text reaches 4.5:1. The scripts read the tokens as CSS variables,
so cards, chart and controls cannot disagree.
"""

from typing import Final

#: Token: (light, dark).
TOKENS: Final[dict[str, tuple[str, str]]] = {
    "ground": ("#f4f6f8", "#0e1216"),
    "surface": ("#ffffff", "#161b21"),
    "surface-raised": ("#ffffff", "#1d242c"),
    "surface-sunken": ("#eaeef2", "#10151a"),
    "line": ("#d5dce3", "#2a333d"),
    "line-strong": ("#7c8894", "#6f7c89"),
    "grid": ("#e6eaee", "#232b34"),
    "text": ("#15202b", "#e8edf2"),
    "text-quiet": ("#4f5d6b", "#a3b0bd"),
    "accent": ("#0061a8", "#62b5f0"),
    "accent-text": ("#ffffff", "#08131c"),
    "ok": ("#00704f", "#3fc79a"),
    "high": ("#b83a00", "#ff8a4d"),
    "high-ground": ("#fdeee6", "#33201a"),
    "stale": ("#7a5c00", "#e0b84a"),
    "stale-ground": ("#fbf3dc", "#2b2617"),
    "offline": ("#5a6672", "#98a5b1"),
    "offline-ground": ("#edf0f3", "#1a2027"),
    "series-0": ("#0072b2", "#3f9fd8"),
    "series-1": ("#c27c00", "#e69f00"),
    "series-2": ("#009068", "#1dbb8b"),
    "series-3": ("#b3598a", "#d98fb8"),
    "series-4": ("#2f8fc4", "#7cc8f2"),
    "series-5": ("#938400", "#f0e442"),
    "series-6": ("#5b6470", "#b8c2cc"),
    "band": ("#e3edf5", "#1c2f3d"),
    "band-core": ("#c3daea", "#26475c"),
}
#: The variables that the controls of Dash 4 are coloured by, in our tokens; without them they stay white in the dark.
_DASH_VARIABLES: Final = {
    "Fill-Inverse-Strong": "surface-raised",
    "Fill-Interactive-Strong": "accent",
    "Fill-Interactive-Weak": "surface-sunken",
    "Fill-Primary-Hover": "surface-sunken",
    "Fill-Primary-Active": "surface-sunken",
    "Fill-Disabled": "surface-sunken",
    "Stroke-Strong": "line-strong",
    "Stroke-Weak": "line",
    "Text-Primary": "text",
    "Text-Strong": "text",
    "Text-Weak": "text-quiet",
    "Text-Disabled": "text-quiet",
    "Shading-Strong": "line",
    "Shading-Weak": "line",
}


def stylesheet() -> str:
    """Return the tokens as CSS variables: the chosen theme, else the system's."""
    light, dark = (_block(index) for index in (0, 1))
    return (
        f":root{{color-scheme:light;{light}{_dash_block()}}}"
        f"@media (prefers-color-scheme:dark){{:root:not([data-theme]){{color-scheme:dark;{dark}}}}}"
        f":root[data-theme=dark]{{color-scheme:dark;{dark}}}"
    )


def _block(index: int) -> str:
    return "".join(f"--{token}:{values[index]};" for token, values in TOKENS.items())


def _dash_block() -> str:
    return "".join(f"--Dash-{variable}:var(--{token});" for variable, token in _DASH_VARIABLES.items())

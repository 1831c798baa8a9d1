"""Takes pictures of the page, for the README and for who changed its look.

`python -m tests.support.pictures docs/images` takes the README's two after 100 s of a bus with 20 devices;
`--every FOLDER` takes the page's states instead, each light, dark and on a phone of 360 px (tests/support/scenes.py).
"""

import argparse
import time
from pathlib import Path

from tests.support.browser import chromium
from tests.support.scenes import HISTORY_S, SCENES, Camera, bus_of


def main() -> None:
    """Take what is asked for."""
    parser = argparse.ArgumentParser(description="Take pictures of the page.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", action="store_true", help="of every state, not only the README's two")
    parser.add_argument("--only", nargs="+", choices=SCENES, default=list(SCENES), help="of these buses alone")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        camera = Camera(browser, arguments.folder)
        if arguments.every:
            for name in arguments.only:
                SCENES[name](camera)
            return
        with bus_of(20) as bus:
            time.sleep(HISTORY_S)
            for look in ("light", "dark"):
                camera.take("page", [(look, camera.opened(bus.url, look))])


if __name__ == "__main__":
    main()

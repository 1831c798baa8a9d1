# One image for every service; docker-compose.yml says which command each one runs.
FROM python:3.13.14-slim-bookworm@sha256:9d7f287598e1a5a978c015ee176d8216435aaf335ed69ac3c38dd1bbb10e8d64 AS base

# plotly.js with what the page draws alone; it makes the page's first visit half as large (docs/page.md).
FROM base AS plotly
WORKDIR /plotly
COPY deploy/plotly ./
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes -r npm.txt \
    && npm ci --ignore-scripts --no-audit --no-fund

FROM base AS build
COPY deploy/uv.txt ./
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes -r uv.txt
WORKDIR /app
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never
# The dependencies first: they change less often than our code, and uv.lock holds the hash of each.
COPY pyproject.toml uv.lock README.md LICENSE ./
RUN uv sync --frozen --no-dev --no-install-project
COPY sensorbus sensorbus
COPY simulator simulator
COPY processors processors
COPY dashboard_app dashboard_app
COPY --from=plotly /plotly/node_modules/plotly.js-cartesian-dist-min/plotly-cartesian.min.js dashboard_app/assets/vendor/
RUN uv sync --frozen --no-dev --no-editable

FROM base
RUN useradd --system --uid 10001 --user-group --no-create-home sensorbus \
    && install --directory --owner=sensorbus --group=sensorbus --mode=0750 /state
COPY --from=build /app/.venv /app/.venv
ENV PATH=/app/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    SENSORBUS_STATE_DIR=/state
USER sensorbus
WORKDIR /app
VOLUME /state
# Health checks are docker-compose's: each service has its own port and question.
HEALTHCHECK NONE
CMD ["sensorbus", "--help"]

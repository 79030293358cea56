# The base install: it predicts, evaluates and inspects bundles. See docs/install.md.
FROM python:3.12-slim AS build
WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src
RUN python -m venv /opt/lungfish \
    && /opt/lungfish/bin/python -m pip install --no-cache-dir --constraint constraints.txt . \
    && /opt/lungfish/bin/python -m pip uninstall --yes pip

FROM python:3.12-slim
COPY --from=build /opt/lungfish /opt/lungfish
ENV PATH=/opt/lungfish/bin:$PATH LUNGFISH_CACHE=/tmp
USER 65534:65534
ENTRYPOINT ["lungfish"]
CMD ["--help"]

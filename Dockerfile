# Two stages: the first makes the virtual environment, the second has neither pip nor compiler.
ARG BASE=debian:bookworm-slim
FROM ${BASE} AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY requirements.lock ./
RUN python3 -m venv /opt/build && /opt/build/bin/pip install --no-cache-dir uv==0.13.9 \
    && python3 -m venv --without-pip /opt/ocr \
    && /opt/build/bin/uv pip install --compile-bytecode --no-cache --python /opt/ocr/bin/python \
        --no-deps --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE pytest_ocr_server.py ./
COPY app app
COPY migrations migrations
RUN /opt/build/bin/uv pip install --compile-bytecode --no-cache --no-deps --python /opt/ocr/bin/python .

FROM ${BASE}
# "tesseract-ocr-all" reads every language; name the ones you need for a smaller image.
ARG TESSERACT="tesseract-ocr tesseract-ocr-all"
RUN apt-get update \
    && apt-get install -y --no-install-recommends bubblewrap python3 python3-uno poppler-utils ${TESSERACT} \
        libreoffice-calc-nogui libreoffice-impress-nogui libreoffice-math-nogui \
        libreoffice-writer-nogui \
        fonts-dejavu-core fonts-liberation fonts-noto-cjk fonts-noto-core \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /data ocr \
    && install -d -o ocr -g ocr /data
COPY --from=build /opt/ocr /opt/ocr
ENV PATH=/opt/ocr/bin:$PATH OCR_HOST=0.0.0.0 OCR_DATA_DIR=/data PYTHONUNBUFFERED=1
USER ocr
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --start-period=30s CMD ["python3", "-c", \
    "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/readyz', timeout=5)"]
ENTRYPOINT ["ocr-server"]
CMD ["serve"]

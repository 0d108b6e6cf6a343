# One image for servers and workers. Two stages: the first makes the virtual environment, the second
# has neither pip nor compiler.
ARG BASE=debian:bookworm-slim
FROM ${BASE} AS build
# Files of the machine that builds; `make image` gives them, and none is kept.
ARG APT_CONFIG
ARG PIP_CONFIG_FILE
# Another index than PyPI, such as a mirror nearby.
ARG PIP_INDEX_URL
RUN apt-get update \
    && apt-get install -y --no-install-recommends binutils ca-certificates python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY deploy/image/prune.sh deploy/image/prune.sh
COPY requirements.lock ./
RUN python3 -m venv /opt/build \
    && python3 -m venv --without-pip /opt/ocr \
    && /opt/build/bin/pip --python /opt/ocr/bin/python install --no-cache-dir --no-compile \
        --no-deps --require-hashes -r requirements.lock \
    && deploy/image/prune.sh /opt/ocr \
    && python3 -m compileall -q -j 0 -x olefile2 /opt/ocr/lib
COPY pyproject.toml README.md LICENSE pytest_ocr_server.py ./
COPY app app
COPY migrations migrations
RUN /opt/build/bin/pip --python /opt/ocr/bin/python install --no-cache-dir --no-deps .

FROM ${BASE}
ARG APT_CONFIG
COPY deploy/image/dpkg.cfg /etc/dpkg/dpkg.cfg.d/ocr-server
# 0 leaves out LibreOffice: Office documents are then refused.
ARG OCR_OFFICE=1
RUN office="fonts-noto-core libreoffice-calc-nogui libreoffice-impress-nogui libreoffice-math-nogui \
        libreoffice-writer-nogui python3-uno" \
    && if [ "${OCR_OFFICE}" = 0 ]; then office=""; fi \
    && apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends bubblewrap \
        ca-certificates fontconfig fonts-dejavu-core fonts-liberation fonts-noto-cjk poppler-utils \
        python3 ${office} \
    && apt-get clean && rm -rf /var/lib/apt/lists/* /var/log/*
# The languages that Tesseract reads, by Debian's names; "all" for every one. These here, if none are
# named; PP-OCR reads Chinese, Japanese and most that are in Latin letters without it.
ARG TESSERACT_LANGUAGES=""
RUN languages="ara bul chi-sim chi-tra deu ell eng fas fra heb hin ita kor por rus spa tha ukr vie" \
    && apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        $(printf "tesseract-ocr-%s " ${TESSERACT_LANGUAGES:-${languages}}) \
    && apt-get clean && rm -rf /var/lib/apt/lists/* /var/log/*
RUN useradd --uid 10001 --no-log-init --home-dir /data ocr && install -d -o ocr -g ocr /data
COPY --from=build /opt/ocr /opt/ocr
ENV PATH=/opt/ocr/bin:$PATH OCR_HOST=0.0.0.0 OCR_DATA_DIR=/data \
    PYTHONUNBUFFERED=1 OCR_OFFICE=${OCR_OFFICE:-1}
USER ocr
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --start-period=60s --timeout=10s CMD ["ocr-server", "health"]
ENTRYPOINT ["ocr-server"]
CMD ["serve"]

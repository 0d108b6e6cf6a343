#!/bin/bash
# Build the image with Debian's buildah, which needs neither a daemon nor root, and print its sizes.
#
#   deploy/image/build.sh FOLDER TAG [BASE]
#
# All that is kept is in FOLDER. Without a BASE from a registry one is made of Debian's packages. The
# build arguments OCR_OFFICE and TESSERACT_LANGUAGES are taken from the environment. Packages come from
# where this machine has them from; that leaves no trace in the image.
set -euo pipefail
cd "$(dirname "$0")/../.."
mkdir -p "$1"
folder=$(realpath "$1") tag=$2 base=${3:-}
host=$folder/host
buildah=(buildah --root "$folder/storage" --runroot "$folder/run" --storage-driver overlay)

# What apt and pip are told here.
mkdir -p "$host/sources.list.d"
apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' \
    'Identifier: Packages' 'Origin: Debian' | grep ' bookworm' | sort -u \
    >"$host/sources.list.d/host.list" || true
if [ ! -s "$host/sources.list.d/host.list" ]; then
    for suite in debian/:bookworm debian/:bookworm-updates debian-security/:bookworm-security; do
        echo "deb http://deb.debian.org/${suite%:*} ${suite#*:} main"
    done >"$host/sources.list.d/host.list"
fi
cp /etc/ssl/certs/ca-certificates.crt "$host/ca.crt"
{
    apt-config dump | grep -E '^Acquire::(https?|Retries|Check)' || true
    echo 'Acquire::https::CAInfo "/mnt/ca.crt";'
} >"$host/apt.conf"
{
    echo '[global]'
    echo 'cert = /mnt/ca.crt'
    python3 -m pip config list 2>/dev/null | tr -d "'" \
        | sed -nE 's/^(global|:env:)\.(index-url|trusted-host|proxy|default-timeout|timeout)=/\2 = /p'
} >"$host/pip.conf"

if [ -z "$base" ]; then
    base=localhost/debian:bookworm
    if ! "${buildah[@]}" inspect --type image "$base" >/dev/null 2>&1; then
        # The package usr-is-merged spares the one that would merge, and Perl. What is left out here is
        # not in the base for ever: the Dockerfile says it anew.
        mmdebstrap --quiet --variant=apt --include=usr-is-merged \
            --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
            --dpkgopt=deploy/image/dpkg.cfg --aptopt='Acquire::Languages "none"' \
            --customize-hook='rm "$1/etc/dpkg/dpkg.cfg.d/99mmdebstrap"' \
            bookworm "$folder/base.tar" "$host/sources.list.d/host.list"
        container=$("${buildah[@]}" from scratch)
        "${buildah[@]}" add -q "$container" "$folder/base.tar" / >/dev/null
        "${buildah[@]}" commit -q --rm "$container" "$base" >/dev/null
        rm "$folder/base.tar"
    fi
fi

arguments=(--build-arg "BASE=$base")
for name in OCR_OFFICE TESSERACT_LANGUAGES; do
    [ -z "${!name+set}" ] || arguments+=(--build-arg "$name=${!name}")
done
"${buildah[@]}" build --isolation chroot --format docker --layers --tag "$tag" "${arguments[@]}" \
    --build-arg APT_CONFIG=/mnt/apt.conf --build-arg PIP_CONFIG_FILE=/mnt/pip.conf \
    --volume "$host:/mnt:ro" \
    --volume "$host/sources.list.d:/etc/apt/sources.list.d:ro" \
    .
"${buildah[@]}" images --filter "reference=$tag"

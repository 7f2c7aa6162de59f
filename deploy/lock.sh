#!/bin/sh
# Renew the image's lock files, after a change of pyproject.toml's dependencies or for newer releases:
#     pip install uv && sh deploy/lock.sh
# The image has no display and plots nothing: headless OpenCV stands in for opencv-python, matplotlib is left out.
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "opencv-python-headless" > "$work/headless.in"
printf '%s ; sys_platform == "never"\n' opencv-python matplotlib > "$work/left_out.txt"

lock() { # FILE OPTION...
    file=$1
    shift
    uv pip compile --quiet pyproject.toml "$work/headless.in" --override "$work/left_out.txt" --universal \
        --python-version 3.11 --upgrade --no-emit-index-url --no-annotate --no-header "$@" --output-file "$work/lock.txt"
    {
        echo "# What the image installs: made by deploy/lock.sh, for Linux and Python 3.11 on amd64 and arm64."
        grep -v "'never'\|== 'win32'\|>= '3.12'" "$work/lock.txt" | sed "s/ ; .*//"
    } > "$file"
    rm "$work/lock.txt"
}

lock deploy/requirements.txt --extra watch
lock deploy/requirements-tensorflow.txt --extra watch --extra tensorflow --constraint deploy/requirements.txt

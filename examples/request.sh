#!/bin/sh
# Find people in a picture: print them as JSON, save the picture with them drawn as people.jpg.
#
#     sh examples/request.sh IMAGE [URL]
#
# The server's key is read from HUMANDETECT_API_KEY, if it asks for one. It may be busy: curl comes again when told to.
set -eu
image=${1:?"usage: sh examples/request.sh IMAGE [URL]"}
url=${2:-http://127.0.0.1:8000}

ask() {
    curl --silent --show-error --fail-with-body --retry 5 \
        ${HUMANDETECT_API_KEY:+--oauth2-bearer "$HUMANDETECT_API_KEY"} \
        --header "Content-Type: application/octet-stream" --data-binary "@$image" "$@" "$url/v1/detect"
    echo >&2
}

ask
ask --header "Accept: image/jpeg" --output people.jpg

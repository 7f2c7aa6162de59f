#!/bin/sh
# Copy the image's models into a volume, each with warm-up requests: copy-models FOLDER [OPTION OF export-warmup]...
# A version appears under its number when it is complete, as TensorFlow Serving loads whatever it sees; one that is
# there already stays as it is.
set -eu

to=$1
shift
for version in "${MODELS:-/models}"/*/*/; do
    name=$(basename "$(dirname "$version")")
    final=$to/$name/$(basename "$version")
    if [ -e "$final" ]; then
        echo "$final is there already"
        continue
    fi
    mkdir -p "$to/$name"
    new=$(mktemp -d "$to/$name/.new.XXXXXX")
    trap 'rm -rf "$new"' EXIT
    cp -R "$version." "$new"
    warmup=$new/assets.extra/tf_serving_warmup_requests
    mkdir -p "$new/assets.extra"
    humandetect models export-warmup "$version" --quiet --output "$warmup" "$@"
    chmod -R u=rwX,go=rX "$new"
    mv "$new" "$final"
    echo "$final is ready"
done

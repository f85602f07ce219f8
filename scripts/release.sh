#!/usr/bin/env bash
# Builds the program as it is given to others: stripped, with its symbols beside it.
#
#     scripts/release.sh [FOLDER]
#
# FOLDER, target/dist without it, gets `assay` and `assay.debug`. Debuggers and profilers find the latter by itself while both lie in one
# folder. It needs binutils.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=$(realpath -m "${1:-target/dist}")
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target/dist-build}
# A folder of its own: cargo would otherwise build everything again whenever a plain release build and this one take turns.
CARGO_PROFILE_RELEASE_DEBUG=line-tables-only CARGO_PROFILE_RELEASE_STRIP=none cargo build --release --locked
mkdir -p "$folder"
built=$CARGO_TARGET_DIR/release/assay
objcopy --only-keep-debug --compress-debug-sections "$built" "$folder/assay.debug"
objcopy --strip-all "$built" "$folder/assay"
(cd "$folder" && objcopy --add-gnu-debuglink=assay.debug assay)
ls -l "$folder"

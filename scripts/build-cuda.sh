#!/usr/bin/env bash
# Builds assay for NVIDIA GPUs where there is neither NVIDIA's toolkit nor a GPU: compiler and libraries come as Python wheels.
#
#     scripts/build-cuda.sh [FOLDER]
#
# FOLDER, target/cuda without it, takes the wheels (1.2 GB). CUDA_COMPUTE_CAP says which GPUs: 80 (the default) runs on Ampere and
# later, 75 on Turing. It needs python3 with venv, a C compiler and 3 GB; the program ends up in target/cuda-build/release.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=$(realpath -m "${1:-target/cuda}")
export CUDA_COMPUTE_CAP=${CUDA_COMPUTE_CAP:-80}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target/cuda-build}

say() { printf '\n== %s (%ss)\n' "$1" "$SECONDS"; }

say "wheels"
release='13.0.*'
[ -x "$folder/bin/python" ] || python3 -m venv "$folder"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check \
  "nvidia-cuda-nvcc==$release" "nvidia-cuda-crt==$release" "nvidia-nvvm==$release" "nvidia-cuda-cccl==$release" \
  "nvidia-cuda-runtime==$release" "nvidia-cuda-nvrtc==$release" "nvidia-cublas==$release" 'nvidia-curand==10.4.*'

# The wheels share one folder, which lacks little of a toolkit's: names without versions to link by, the usual name of the
# folder of libraries, and a driver.
CUDA_HOME=$("$folder/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/nvidia/cu13
export CUDA_HOME
[ -d "$CUDA_HOME/lib/stubs" ] || mkdir "$CUDA_HOME/lib/stubs"
[ -e "$CUDA_HOME/lib64" ] || ln -s lib "$CUDA_HOME/lib64"
for library in "$CUDA_HOME"/lib/lib*.so.*; do
  plain=${library%%.so.*}.so
  [ -e "$plain" ] || ln -s "$(basename "$library")" "$plain"
done

# The driver comes with a GPU. To link it is enough that its functions have names; none is ever called here.
names=$(cat "$CUDA_HOME"/include/cuda.h "$CUDA_HOME"/include/cudaTypedefs.h | tr -cs '[:alnum:]_' '\n' | grep -E '^cu[A-Z]' | sort -u)
{
  echo '#define NAMED(name) int name(void) { return 34; } /* CUDA_ERROR_STUB_LIBRARY */'
  printf 'NAMED(%s)\n' $names
} | cc -x c -w -shared -fPIC -Wl,-soname,libcuda.so.1 -o "$CUDA_HOME/lib/stubs/libcuda.so" -

say "build for compute capability $CUDA_COMPUTE_CAP, by $("$CUDA_HOME/bin/nvcc" --version | grep release)"
LIBRARY_PATH="$CUDA_HOME/lib:$CUDA_HOME/lib/stubs${LIBRARY_PATH:+:$LIBRARY_PATH}" PATH="$CUDA_HOME/bin:$PATH" \
  cargo build --release --features cuda

say "done: $CARGO_TARGET_DIR/release/assay"
echo "where it runs, a driver must be installed, and these libraries found, by LD_LIBRARY_PATH=$CUDA_HOME/lib for example:"
readelf -d "$CARGO_TARGET_DIR/release/assay" | sed -n 's/.*(NEEDED).*\[\(libcu.*\|libnv.*\)\]/  \1/p'

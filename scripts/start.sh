#!/usr/bin/env bash
# Deploys this checkout on this host: scripts/start.sh PORT stage|prod
#
# Everything that can be wrong is looked for before anything is stopped. Then: out of the load balancer, SIGTERM to server
# and workers, wait for their drain, start them, back into the load balancer once /readyz answers 200. Tasks that run
# longer than WORKER_GRACE_S go back to the queue. The asset pool runs where AWS_BUCKET is set, unless DEPLOY_ASSETS=0.
# Running it again replaces what runs by the same.
# Exit codes: 0 deployed, 1 it failed (the message says how far it got), 2 wrong arguments.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."

HEARTBEAT_WAIT_S=${HEARTBEAT_WAIT_S:-10} # what the load balancer needs to notice
READY_WAIT_S=60
declare -A pid_files=([server.py]=beat_server.pid [main.py]=beat.pid [main_assets.py]=beat_assets.pid)

say() { echo "start: $*" >&2; }
fail() {
    say "$*"
    exit 1
}
usage() {
    say "$*; usage: scripts/start.sh PORT stage|prod"
    exit 2
}

load_env() { # export NAME=value lines as they stand: nothing in them is run or expanded
    local line number=0
    while IFS= read -r line || [ -n "$line" ]; do
        number=$((number + 1))
        line=${line%$'\r'} # of an editor that ends lines in its own way
        [[ $line =~ ^[[:space:]]*(#|$) ]] && continue
        [[ $line =~ ^([A-Za-z_][A-Za-z0-9_]*)=(.*)$ ]] || fail "line $number of $1 is not NAME=value"
        export "${BASH_REMATCH[1]}=${BASH_REMATCH[2]}"
    done <"$1"
}

is_ours() { # whether pid $1 lives and is program $2 of this checkout
    local args=()
    [ "/proc/$1/cwd" -ef . ] && mapfile -d '' -t args <"/proc/$1/cmdline" &&
        [[ ${#args[@]} = 2 && ${args[0]##*/} = python* && ${args[1]} = "$2" ]]
} 2>/dev/null

running() { # the pid of program $1, if its pid file names one that lives
    local pid
    pid=$(cat "${pid_files[$1]}" 2>/dev/null) || return 0
    if [[ $pid =~ ^[0-9]+$ ]] && is_ours "$pid" "$1"; then echo "$pid"; fi
}

strays() { # living programs of this checkout that no pid file names
    local program known directory
    for program in "${!pid_files[@]}"; do
        known=$(running "$program")
        for directory in /proc/[0-9]*; do
            if [ "${directory#/proc/}" != "$known" ] && is_ours "${directory#/proc/}" "$program"; then
                echo "$program (pid ${directory#/proc/})"
            fi
        done
    done
}

setting_of() { # the environment variable $2 of the living process $1
    tr '\0' '\n' <"/proc/$1/environ" | sed -n "s/^$2=//p"
} 2>/dev/null

http_status() { # METHOD PATH PORT: the status the server answers with, 000 when it does not
    .venv/bin/python -I - "$1" "http://$address:$3$2" <<'END'
import os, sys, urllib.error, urllib.request

request = urllib.request.Request(sys.argv[2], method=sys.argv[1])
if key := os.environ.get("API_KEY"):
    request.add_header("Authorization", "Bearer " + key)
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
try:
    print(opener.open(request, timeout=10).status)
except urllib.error.HTTPError as error:
    print(error.code)
except OSError:
    print("000")
END
}

listen_problem() { # ADDRESS PORT: why a server could not listen there now; nothing when it could
    .venv/bin/python -I - "$1" "$2" <<'END'
import socket, sys

try:
    (family, *_, where), *_ = socket.getaddrinfo(sys.argv[1], int(sys.argv[2]), type=socket.SOCK_STREAM)
    socket.create_server(where[:2], family=family).close()
except OSError as error:
    print(error.strerror)
END
}

wait_gone() { # PROGRAM PID SECONDS: whether it ends in time
    local deadline=$((SECONDS + $3))
    while is_ours "$2" "$1"; do
        [ $SECONDS -lt $deadline ] || return 1
        sleep 0.2
    done
}

stop() { # PROGRAM PID SECONDS: it was sent SIGTERM and has so long to drain; a second one hurries it up
    wait_gone "$1" "$2" "$3" && return
    say "$1 (pid $2) has not drained in $3 s: hurrying it up"
    kill -TERM "$2" 2>/dev/null || true
    wait_gone "$1" "$2" 20 && return
    say "$1 (pid $2) does not end: killing it"
    kill -KILL "$2" 2>/dev/null || true
    wait_gone "$1" "$2" 10 || fail "$1 (pid $2) cannot be stopped"
}

start() { # PROGRAM: in a session of its own, so that it outlives this one
    setsid .venv/bin/python "$1" >>"logs/${1%.py}.log" 2>&1 </dev/null 9>&- &
    echo $! >"${pid_files[$1]}"
    for _ in {1..50}; do # until setsid has become the program
        if is_ours $! "$1"; then return; fi
        sleep 0.1
    done
    fail "$1 did not start: see logs/${1%.py}.log"
}

[ $# = 2 ] || usage "give a port and an environment"
port=$1 environment=$2
[[ $port =~ ^[1-9][0-9]{0,4}$ && $port -le 65535 ]] || usage "'$port' is no port"
case $environment in stage | prod) ;; *) usage "'$environment' is no environment" ;; esac
[ -r ".env.$environment" ] || fail ".env.$environment is missing: it holds the settings of $environment, see README.md"

exec 9>.deploy.lock
flock -n 9 || fail "another deploy of this checkout is under way"

# Before anything is stopped: packages, settings, schema, database, key ring, pooler and Redis.
scripts/setup
mkdir -p logs
(umask 077 && cp ".env.$environment" .env.new && mv .env.new .env)
load_env .env
export API_PORT=$port ENVIRONMENT=$environment HEARTBEAT=0
address=${API_HOST:-127.0.0.1}
case $address in 0.0.0.0) address=127.0.0.1 ;; :: | ::1) address='[::1]' ;; esac
.venv/bin/python -m scripts.migrate --check || fail "nothing was stopped: mend the above, or run python -m scripts.migrate"
.venv/bin/python -m scripts.beatctl credentials list >/dev/null || fail "nothing was stopped: mend the above"
if .venv/bin/python -c 'from config import load_settings as load; exit(not load().api.wants_keys)'; then
    .venv/bin/python -m scripts.beatctl keys test --scope admin <<<"${API_KEY:-}" >/dev/null ||
        fail "nothing was stopped: set API_KEY in .env.$environment to a key of 'beatctl keys add deploy --scope admin'"
fi
others=$(strays)
[ -z "$others" ] || fail "nothing was stopped: these run without a pid file, stop them first: ${others//$'\n'/, }"
.venv/bin/python -m scripts.reach || fail "nothing was stopped: mend the above, /readyz would not answer 200"

wanted=(server.py main.py)
if [ -n "${AWS_BUCKET:-}" ] && [ "${DEPLOY_ASSETS:-1}" != 0 ]; then wanted+=(main_assets.py); fi

server=$(running server.py) workers=$(running main.py) assets=$(running main_assets.py)
old_port=
if [ -n "$server" ]; then old_port=$(setting_of "$server" API_PORT); fi
if [ "$old_port" != "$port" ]; then # whoever listens there might answer 200 in the server's place
    problem=$(listen_problem "${API_HOST:-127.0.0.1}" "$port")
    [ -z "$problem" ] || fail "nothing was stopped: port $port of ${API_HOST:-127.0.0.1}: $problem"
fi
if [ -n "$server" ]; then
    say "taking port $old_port out of the load balancer"
    http_status PUT "/heartbeat?beat=false" "$old_port" >/dev/null
    sleep "$HEARTBEAT_WAIT_S"
fi
grace_s=30
if [ -n "$workers$assets" ]; then grace_s=$(setting_of "${workers:-$assets}" WORKER_GRACE_S); fi
grace_s=${grace_s%.*}
[ -z "$server$workers$assets" ] ||
    say "stopping server ${server:-(none)}, workers ${workers:-(none)}, assets ${assets:-(none)}"
for pid in $server $workers $assets; do kill -TERM "$pid" 2>/dev/null || true; done
if [ -n "$server" ]; then stop server.py "$server" 20; fi
if [ -n "$workers" ]; then stop main.py "$workers" $((${grace_s:-30} + 20)); fi
if [ -n "$assets" ]; then stop main_assets.py "$assets" $((${grace_s:-30} + 20)); fi
rm -f "${pid_files[@]}"

for program in "${wanted[@]}"; do start "$program"; done
deadline=$((SECONDS + READY_WAIT_S))
until [ "$(http_status GET /readyz "$port")" = 200 ]; do
    [ -n "$(running server.py)" ] || fail "the server has ended: see logs/server.log"
    [ $SECONDS -lt $deadline ] || fail "/readyz on port $port does not answer 200: see logs/server.log; heartbeat stays off"
    sleep 0.3
done
for program in "${wanted[@]}"; do
    [ -n "$(running "$program")" ] || fail "$program has ended: see logs/${program%.py}.log; heartbeat stays off"
done
[ "$(http_status PUT "/heartbeat?beat=true" "$port")" = 200 ] || fail "/heartbeat was not taken: it stays off"
say "deployed: server $(cat beat_server.pid), workers $(cat beat.pid), assets $(cat beat_assets.pid 2>/dev/null || echo none), port $port"

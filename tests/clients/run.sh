#!/usr/bin/env bash
# Public clients against a server of four cores: tests/clients/run.sh path/to/rondo
#
# Installs redis-py, RQ, Celery, Dramatiq, django-redis, ioredis, redlock, BullMQ and Socket.IO below tests/clients/.env (ignored by
# git) the first time, with pip and npm. Sidekiq, redigo, go-redis and redis-cli are run where they are installed.
set -euo pipefail
cd "$(dirname "$0")/../.."

binary=${1:-target/release/rondo}
[ -x "$binary" ] || { echo "clients: no server at $binary; make build" >&2; exit 1; }
here=tests/clients
env=$here/.env
mkdir -p "$env"

ran=0
dir=$(mktemp -d)
trap 'kill "$server" 2>/dev/null; wait "$server" 2>/dev/null; rm -rf "$dir"' EXIT
port=$((20000 + RANDOM % 10000))
"$binary" --port "$port" --bind 127.0.0.1 --threads 4 --dir "$dir" >"$dir/log" 2>&1 &
server=$!
for _ in $(seq 100); do
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
    kill -0 "$server" 2>/dev/null || { cat "$dir/log" >&2; exit 1; }
    sleep 0.1
done

if command -v python3 >/dev/null; then
    [ -x "$env/python/bin/python" ] || python3 -m venv "$env/python"
    "$env/python/bin/python" -c 'import redis' 2>/dev/null || "$env/python/bin/pip" install --quiet redis
    "$env/python/bin/python" "$here/redis_py.py" "$port"
    "$env/python/bin/python" -c 'import rq, celery, packaging' 2>/dev/null ||
        "$env/python/bin/pip" install --quiet rq celery packaging
    "$env/python/bin/python" "$here/scripts.py" "$port"
    "$env/python/bin/python" -c 'import dramatiq, django_redis' 2>/dev/null ||
        "$env/python/bin/pip" install --quiet dramatiq django-redis
    "$env/python/bin/python" "$here/web.py" "$port"
    ran=$((ran + 1))
else
    echo "clients: no python3, redis-py is left out" >&2
fi

if command -v npm >/dev/null; then
    [ -d "$env/node_modules/ioredis" ] || npm install --silent --no-audit --no-fund --prefix "$env" ioredis
    [ -d "$env/node_modules/bullmq" ] || npm install --silent --no-audit --no-fund --prefix "$env" ioredis redlock@4 bullmq
    [ -d "$env/node_modules/socket.io" ] || npm install --silent --no-audit --no-fund --prefix "$env" \
        redis socket.io socket.io-client @socket.io/redis-adapter
    for script in ioredis redlock bullmq socketio; do
        NODE_PATH="$env/node_modules" node "$here/$script.cjs" "$port"
    done
    ran=$((ran + 1))
else
    echo "clients: no npm, ioredis is left out" >&2
fi

# Debian's package of the library.
if command -v go >/dev/null && [ -d /usr/share/gocode/src/github.com/gomodule/redigo ]; then
    GO111MODULE=off GOPATH=/usr/share/gocode go run "$here/redigo.go" "$port"
    ran=$((ran + 1))
else
    echo "clients: no redigo, it is left out (apt-get install golang-go golang-github-gomodule-redigo-dev)" >&2
fi

# Debian's package, version 5: what is newer comes as a module, from where not everybody may fetch.
if command -v go >/dev/null && [ -d /usr/share/gocode/src/gopkg.in/redis.v5 ]; then
    GO111MODULE=off GOPATH=/usr/share/gocode go run "$here/goredis.go" "$port"
    ran=$((ran + 1))
else
    echo "clients: no go-redis, it is left out (apt-get install golang-go golang-gopkg-redis.v5-dev)" >&2
fi

# Debian's package; the gem of version 6 will do as well.
if command -v sidekiq >/dev/null && command -v ruby >/dev/null; then
    ruby "$here/sidekiq.rb" "$port"
    ran=$((ran + 1))
else
    echo "clients: no sidekiq, it is left out (apt-get install ruby-sidekiq)" >&2
fi

if command -v redis-cli >/dev/null; then
    [ "$(redis-cli -p "$port" set cli:a 1 ex 60)" = OK ]
    [ "$(redis-cli -p "$port" ttl cli:a)" -gt 50 ]
    [ "$(redis-cli -3 -p "$port" mget cli:a cli:missing | head -n 1)" = 1 ]
    seq 2000 | sed 's/.*/SET cli:pipe:& &/' | redis-cli -p "$port" --pipe | grep -q 'errors: 0, replies: 2000'
    [ "$(redis-cli -p "$port" --scan --pattern 'cli:pipe:*' | wc -l)" = 2000 ]
    echo "redis-cli: set, ttl, RESP3, --pipe and --scan are fine"
    ran=$((ran + 1))
fi
[ "$ran" -gt 0 ] || { echo "clients: none of them could be run" >&2; exit 1; }

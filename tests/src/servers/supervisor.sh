# Runs one server for as long as the test that wants it: $1 its folder, the rest its command.
# Standard input is a pipe whose other end the test holds. When that closes (the test is done with the server, or ended in
# whatever way, killed included) the server's whole process group is ended and its folder removed.
dir=$1
shift
setsid "$@" </dev/null >"$dir/console.log" 2>&1 &
pid=$!
echo "$pid" >"$dir/pid.new"
mv "$dir/pid.new" "$dir/pid"
trap '' INT TERM HUP
read -r _
kill -s TERM "$pid" 2>/dev/null
# Five seconds to end by itself.
(
    sleep 5
    kill -s KILL "$pid" 2>/dev/null
) &
timer=$!
wait "$pid" 2>/dev/null
kill -s KILL "$timer" 2>/dev/null
# Until it is gone, too: its command line names the folder.
wait "$timer" 2>/dev/null
# What it had started: sessions in the same process group.
tries=0
while kill -s KILL -- "-$pid" 2>/dev/null && [ "$tries" -lt 20 ]; do
    sleep 0.05
    tries=$((tries + 1))
done
[ -n "${OCTROI_KEEP_RUNS:-}" ] || rm -rf "$dir"

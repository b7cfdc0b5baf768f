#!/bin/sh
# Cargo calls this in the place of rustc for the crates of this workspace (RUSTC_WORKSPACE_WRAPPER, set by run.sh). What the
# targets read with is compiled so that libFuzzer sees which code an input reaches and what it is compared with; flags of
# the stable compiler. Everything else is compiled as always, and a build script could not be linked otherwise.
case " $* " in
    *' --crate-type lib '*)
        case " $* " in
            *' --crate-name octroi '* | *' --crate-name octroi_rules '* | *' --crate-name octroi_checkpassword '*)
                set -- "$@" -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
                    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
                    -Cllvm-args=-sanitizer-coverage-trace-compares -Copt-level=2 \
                    -Cdebug-assertions=yes -Coverflow-checks=yes
                ;;
        esac
        ;;
esac
exec "$@"

#!/bin/sh
# A compiler that compiles nothing twice: NODEMCU_TLS_CC for builds that differ in a few macros.
# COMPILER is the real one, OBJECTS the directory for what was compiled. As ninja calls it, the
# last two arguments are -o and the object. Debug information may have the lines of another build.
case " $* " in
*" -MD "*) ;;
*) exec "$COMPILER" "$@" ;;
esac
text=$(mktemp "$OBJECTS/text.XXXXXX")
trap 'rm -f "$text"' EXIT

preprocess() {
    left=$#
    for argument; do
        shift
        left=$((left - 1))
        if [ $left -gt 1 ]; then set -- "$@" "$argument"; fi
    done
    "$COMPILER" "$@" -E -P -MT "$object" -o "$text"
}

for object; do :; done
preprocess "$@" || exit
kept="$OBJECTS/$( (echo "$*"; cat "$text") | sha256sum | cut -c -64)"
if [ ! -e "$kept" ]; then
    "$COMPILER" "$@" || exit
    cp "$object" "$kept.$$" && mv "$kept.$$" "$kept"
else
    cp "$kept" "$object"
fi

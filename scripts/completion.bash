# Completes snakemake's options, this workflow's targets, and keys and values after --config. In bash:
#     source <flowsession>/scripts/completion.bash
# In zsh put `autoload -U +X bashcompinit && bashcompinit` before it.

_flowsession_project=$(cd "$(dirname "${BASH_SOURCE[0]:-$0}")/.." && pwd)

# Prints "key=" for every key of the settings, or the values of one key that can be listed.
_flowsession_settings() {
    python3 - "$_flowsession_project/config/session.schema.json" "$@" <<'PYTHON'
import json, sys
parts = json.load(open(sys.argv[1], encoding="utf-8"))["properties"]
if len(sys.argv) == 2:
    print(*(f"{key}=" for key, part in parts.items() if "properties" not in part))
else:
    part = parts.get(sys.argv[2], {})
    values = part.get("enum") or ([True, False] if part.get("type") == "boolean" else part.get("examples", []))
    print(*(value for value in values if isinstance(value, (str, int)) and " " not in str(value)))
PYTHON
}

_flowsession() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} key='' i words
    # bash takes "=" for a word of its own: key, "=", value
    if [[ $word == '=' ]]; then key=$before word=''
    elif [[ $before == '=' ]]; then key=${COMP_WORDS[COMP_CWORD-2]}
    fi
    local in_config=''
    for ((i = COMP_CWORD - 1; i > 0; i--)); do
        case ${COMP_WORDS[i]} in
            --config | -C) in_config=yes; break ;;
            -*) break ;;
        esac
    done
    if [[ $in_config && $key ]]; then words=$(_flowsession_settings "$key")
    elif [[ $in_config && $word != -* ]]; then
        words=$(_flowsession_settings)
        compopt -o nospace 2>/dev/null
    elif [[ $word == -* ]]; then
        # asking takes a second: once per shell
        : "${_flowsession_options:=$("${COMP_WORDS[0]}" --help 2>/dev/null | grep -oE -- '(^|[ ,])--[a-z][a-z0-9-]+' | tr -d ' ,' | sort -u)}"
        words=$_flowsession_options
    elif [[ $before == --profile ]]; then
        words=$(cd "$_flowsession_project" && printf '%s\n' "$PWD"/profiles/*)
    else
        words=$(cd "$_flowsession_project" && sed -nE 's/^(rule|checkpoint) ([a-z0-9_]+):.*/\2/p' Snakefile rules/*.smk)
    fi
    # shellcheck disable=SC2207
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}

complete -o default -F _flowsession snakemake

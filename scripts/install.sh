#!/bin/sh
# Installs mcp-relay from a release: finds the tarball of this system, verifies it, and puts the program in place as a whole.
#   sh install.sh [folder]      the folder is ~/.local/bin unless named here or by MCP_RELAY_DIR
# Variables, all optional in the install.sh that a release has:
#   MCP_RELAY_VERSION      1.2.3; latest for the newest release
#   MCP_RELAY_REPOSITORY   owner/name on GitHub, which releases and their signatures come from
#   MCP_RELAY_BASE_URL     where the releases are, in place of https://github.com/<owner/name>/releases: a mirror with download/v1.2.3/…
#                          and, for latest, latest/download/SHA256SUMS
#   MCP_RELAY_SIGNER       identity that must have signed, in place of that repository's release workflow at the version's tag
#   REQUIRE_SIGNATURE=1    refuse to install what is not verified with cosign
# The SHA-256 of the tarball is always verified. Its signature is verified where cosign (3 or later) is installed, and must be good then.
set -eu

DEFAULT_REPOSITORY=
DEFAULT_VERSION=latest
ISSUER=https://token.actions.githubusercontent.com

repository=${MCP_RELAY_REPOSITORY:-$DEFAULT_REPOSITORY}
version=${MCP_RELAY_VERSION:-$DEFAULT_VERSION}
base=${MCP_RELAY_BASE_URL:-}
work=

say() { printf 'mcp-relay: %s\n' "$*"; }
fail() {
    printf 'mcp-relay: %s\n' "$*" >&2
    exit 1
}

clean_up() {
    [ -z "$work" ] || rm -rf "$work"
    [ -z "${part:-}" ] || rm -f "$part"
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM

# Prints what the names of this system's tarballs end with.
platform() {
    case "$(uname -s) $(uname -m)" in
    "Linux x86_64" | "Linux amd64") suffix=linux-x86_64 ;;
    "Linux aarch64" | "Linux arm64") suffix=linux-aarch64 ;;
    "Darwin arm64") suffix=macos-arm64 ;;
    *) fail "no release has a program for $(uname -s) on $(uname -m): build it from source (docs/start/install.md)" ;;
    esac
    # The programs are built for glibc.
    if [ "$(uname -s)" = Linux ] && (ldd --version 2>&1 || true) | grep -qi musl; then
        fail "this system has musl in place of glibc, which the program needs: use the image, or build it from source"
    fi
    echo "$suffix"
}

# download <URL> <file>: nothing stays of a download that fails.
download() {
    if command -v curl >/dev/null 2>&1; then
        # No way from https to anything else.
        case $1 in https:*) only='=https' ;; *) only='=http,https' ;; esac
        if ! why=$(curl --proto "$only" --fail --silent --show-error --location --retry 2 --connect-timeout 20 --output "$2" "$1" 2>&1); then
            rm -f "$2"
            return 1
        fi
    elif command -v wget >/dev/null 2>&1; then
        if ! why=$(wget -nv -T 20 -t 3 -O "$2" "$1" 2>&1); then
            rm -f "$2"
            return 1
        fi
    else
        fail "neither curl nor wget is installed: one of them is needed"
    fi
}

# must_download <URL> <file> <what it is>
must_download() {
    download "$1" "$2" || fail "$3 cannot be downloaded from $1: $why"
}

sha256() {
    if command -v sha256sum >/dev/null 2>&1; then
        sha256sum "$1"
    elif command -v shasum >/dev/null 2>&1; then
        shasum -a 256 "$1"
    elif command -v openssl >/dev/null 2>&1; then
        openssl dgst -sha256 -r "$1"
    else
        fail "no sha256sum, shasum or openssl is installed: the download cannot be verified"
    fi | cut -d ' ' -f 1
}

# Prints the name of the tarball that the list has for this system, and fails unless there is exactly one.
tarball_of() {
    awk -v end="-$2.tar.gz" '
        index($2, "mcp-relay-") == 1 && substr($2, length($2) - length(end) + 1) == end { name = $2; count++ }
        END { if (count != 1) exit 1; print name }' "$1"
}

verify_sum() {
    wanted=$(awk -v name="$2" '$2 == name { print $1 }' "$1")
    found=$(sha256 "$work/$2")
    [ -n "$found" ] || fail "the SHA-256 of $2 cannot be computed"
    [ "$found" = "$wanted" ] || fail "$2 is not what SHA256SUMS says: it has SHA-256 $found, and $wanted was expected. Nothing was installed"
    say "SHA-256 of $2 is as listed"
}

verify_signature() {
    signer=${MCP_RELAY_SIGNER:-}
    [ -n "$signer" ] || [ -z "$repository" ] ||
        signer="https://github.com/$repository/.github/workflows/release.yml@refs/tags/v$version"
    if ! command -v cosign >/dev/null 2>&1; then
        [ "${REQUIRE_SIGNATURE:-}" != 1 ] || fail "REQUIRE_SIGNATURE=1, and cosign is not installed. Nothing was installed"
        say "the signature is not verified: cosign is not installed"
        return
    fi
    [ -n "$signer" ] || fail "cosign is installed, and nothing says who must have signed: set MCP_RELAY_REPOSITORY or MCP_RELAY_SIGNER"
    must_download "$1.sigstore.json" "$work/signature" "the signature"
    cosign verify-blob --bundle "$work/signature" --certificate-oidc-issuer "$ISSUER" --certificate-identity "$signer" "$work/$2" \
        >"$work/cosign" 2>&1 || fail "the signature of $2 is not good: $(tail -n 3 "$work/cosign"). Nothing was installed"
    say "signed by $signer"
}

# The file is complete before it has its name, and replaces a program that runs.
put() {
    mkdir -p "$2" || fail "the folder $2 cannot be made"
    [ ! -d "$2/mcp-relay" ] || fail "$2/mcp-relay is a folder: name another one, as in: sh install.sh /usr/local/bin"
    part=$2/.mcp-relay.$$
    if ! { cp "$1" "$part" && chmod 755 "$part"; }; then
        fail "$2 cannot be written: name another folder, as in: sh install.sh /usr/local/bin"
    fi
    said=$("$part" --version 2>&1) || fail "the program does not run here: $said. Nothing was installed"
    mv -f "$part" "$2/mcp-relay" || fail "$2/mcp-relay cannot be replaced"
    say "installed $2/mcp-relay: $(printf '%s\n' "$said" | head -n 1)"
}

main() {
    folder=${1:-${MCP_RELAY_DIR:-}}
    [ -n "$folder" ] || folder=${HOME:?is not set: name a folder, as in: sh install.sh /usr/local/bin}/.local/bin
    if [ -z "$base" ]; then
        [ -n "$repository" ] || fail "set MCP_RELAY_REPOSITORY=<owner>/<name>: this copy of the script belongs to no release"
        base=https://github.com/$repository/releases
    fi
    version=${version#v}
    case $version in
    latest) from=$base/latest/download ;;
    *[!A-Za-z0-9.+-]* | '') fail "MCP_RELAY_VERSION=$version is no version" ;;
    *) from=$base/download/v$version ;;
    esac
    system=$(platform)
    work=$(mktemp -d)
    must_download "$from/SHA256SUMS" "$work/SHA256SUMS" "the list of checksums"
    tarball=$(tarball_of "$work/SHA256SUMS" "$system") || fail "$from/SHA256SUMS lists no tarball for $system: this release has none"
    case $tarball in *[!A-Za-z0-9._+-]*) fail "$from/SHA256SUMS names a file $tarball" ;; esac
    # From here on it is this release, also if a newer one is published meanwhile.
    if [ "$version" = latest ]; then
        version=${tarball#mcp-relay-}
        version=${version%"-$system.tar.gz"}
        from=$base/download/v$version
    elif [ "$tarball" != "mcp-relay-$version-$system.tar.gz" ]; then
        fail "$from/SHA256SUMS has $tarball in place of version $version"
    fi
    must_download "$from/$tarball" "$work/$tarball" "the tarball"
    verify_sum "$work/SHA256SUMS" "$tarball"
    verify_signature "$from/$tarball" "$tarball"
    program=${tarball%.tar.gz}/bin/mcp-relay
    tar -xzf "$work/$tarball" -C "$work" "$program" || fail "$tarball has no $program"
    put "$work/$program" "$folder"
    case ":$PATH:" in *":$folder:"*) ;; *) say "$folder is not in PATH: add it, or call $folder/mcp-relay" ;; esac
    say "to uninstall: rm $folder/mcp-relay"
}

# The last line: a script that was cut off on its way does nothing.
main "$@"

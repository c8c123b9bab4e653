"""Bodies of RUN instructions as public images have them, written for these tests; a shell accepts each of them."""

_APT = [
    f"apt-get update && apt-get install -y --no-install-recommends {names} && rm -rf /var/lib/apt/lists/*"
    for names in (
        "curl",
        "ca-certificates git",
        "build-essential \\\n    pkg-config",
        "'libssl-dev' \"zlib1g-dev\"",
    )
]
_TAR = [
    f"""set -eux; \\
    wget -O archive.tar.{ending} "$URL/{name}-${{VERSION}}.tar.{ending}"; \\
    echo "$SHA256 *archive.tar.{ending}" | sha256sum -c -; \\
    mkdir -p /usr/src/{name}; \\
    tar -x{flag}f archive.tar.{ending} -C /usr/src/{name} --strip-components=1; \\
    rm archive.tar.{ending}"""
    for name, ending, flag in (("tool", "gz", "z"), ("lang", "xz", "J"), ("db", "bz2", "j"))
]
_ARCH = [
    f"""set -eux; \\
    arch="$(dpkg --print-architecture)"; arch="${{arch##*-}}"; \\
    case "$arch" in \\
        'amd64') file='{name}-linux-amd64' ;; \\
        'arm64') file='{name}-linux-arm64' ;; \\
        *) echo >&2 "error: unsupported architecture '$arch' (is it new?)"; exit 1 ;; \\
    esac; \\
    curl -fsSL -o /usr/local/bin/{name} "https://example.com/$file"; chmod +x /usr/local/bin/{name}; {name} --version"""
    for name in ("go-tool", "node-tool", "rust-tool")
]
_USERS = [
    "groupadd -r app && useradd -r -g app app",
    "groupadd --gid 1000 node \\\n  && useradd --uid 1000 --gid node --shell /bin/bash --create-home node",
    "id app >/dev/null 2>&1 || useradd -m app",
    "getent group app || groupadd app; getent passwd app || useradd -g app app",
    "echo 'app ALL=(ALL) NOPASSWD:ALL' > /etc/sudoers.d/app && chmod 0440 /etc/sudoers.d/app",
]
_FILES = [
    "cat > /etc/profile.d/x.sh <<'EOF'\n# it's read by login shells\nexport A=\"b\"\nEOF",
    'cat <<EOF > /entrypoint.sh\n#!/bin/sh\nset -e\nif [ -z "$1" ]; then exit 1; fi\nexec "$@"\nEOF\nchmod +x /entrypoint.sh',
    "cat <<-EOF >> /etc/x.conf\n\tkey = 'value\n\texit 1\n\tEOF",
    "tee /etc/pip.conf <<EOF >/dev/null\n[global]\nno-cache-dir = yes\nEOF",
    "printf '%s\\n' 'a=1' \"b=it's\" > /etc/y.conf",
    "{ \\\n  echo '[mysqld]'; \\\n  echo 'skip-host-cache'; \\\n} > /etc/mysql.cnf",
    "( echo 'install: --no-document'; echo 'update: --no-document' ) >> /etc/gemrc",
    "sed -i 's/^#\\s*\\(.*\\)$/\\1/; s|/old|/new|g' /etc/z.conf",
    "awk '{ print $1, \"it\\047s\" }' /etc/passwd | sort -u > /users",
    "ln -sf /dev/stdout /var/log/access.log && ln -sf /dev/stderr /var/log/error.log",
]
_CONTROL = [
    'for key in A1 B2 C3; do gpg --batch --recv-keys "$key" || exit 1; done',
    "for i in 1 2 3; do\n  curl -f http://example.com && break\n  sleep 5\ndone",
    'if [ "$TARGETARCH" = arm64 ]; then exit 1; elif [ -n "$X" ]; then echo no; else echo yes; fi',
    "if ! command -v python3 > /dev/null; then apt-get install -y python3; fi",
    'while read -r line; do [ -n "$line" ] && echo "$line"; done < /list.txt',
    "until ping -c 1 example.com; do sleep 1; done",
    'retry() { n=0; until "$@"; do n=$((n+1)); [ $n -ge 5 ] && return 1; sleep 1; done; }; retry apt-get update',
    "fail () {\n  echo >&2 \"$1\"\n  exit 1\n}\ntest -d /opt || fail 'no /opt'",
    "find /usr/local -depth \\( \\( -type d -a \\( -name test -o -name tests \\) \\) -o -name '*.pyc' \\) -exec rm -rf '{}' +",
    "find / -name '*.so' -print0 | xargs -0 -r strip --strip-unneeded 2>/dev/null || true",
    'case "${V:-1}" in 1|2) : ;; [3-9]*) echo three ;; *) exit 1 ;; esac',
    'n=$(nproc); make -j "$n" && make install && ldconfig',
    '[ "$(id -u)" = 0 ] || exit 1',
    "test \"$(cat /etc/x)\" != 'y' && exit 1\ntrue",
    "x=`uname -m`; echo \"$x\" | grep -q 64 || { echo >&2 'not 64'; exit 1; }",
    'export A=1 B="two words"; unset A; echo $((1 + 2))',
]
_COMMENTS = [
    "# first\nset -e\n# don't stop\napt-get update # it's slow",
    "pip install --no-cache-dir 'numpy>=1' \"scipy<2\"  # don't cache",
    "true; # exit 1",
]
_TOOLS = [
    "pip install --upgrade pip && pip install -r requirements.txt",
    "python3 -c \"import sys; assert sys.version_info >= (3, 8), 'it is old'\"",
    "python3 - <<'EOF'\nimport sys\nif not sys.argv:\n    exit(1)\nprint('it\\'s fine')\nEOF",
    "curl -fsSL https://example.com/install.sh | sh -s -- -y",
    "curl -sS https://example.com/key.asc | gpg --dearmor -o /usr/share/keyrings/x.gpg",
    'echo "deb [signed-by=/x.gpg] https://example.com $(. /etc/os-release; echo "$VERSION_CODENAME") main" > /etc/apt/x.list',
    "go mod download && CGO_ENABLED=0 go build -ldflags=\"-s -w -X 'main.v=$V'\" -o /app ./cmd/app",
    'savedAptMark="$(apt-mark showmanual)"; apt-mark auto \'.*\' > /dev/null; [ -z "$savedAptMark" ] || apt-mark manual $savedAptMark',
    "ldd /usr/bin/x | awk '/=>/ { so = $(NF-1); if (index(so, \"/usr/local/\") == 1) { next }; print so }' | sort -u",
    "mkdir -p /a /b && cd /a && ( cd /b && touch c ) && pwd",
    "nginx -t 2>&1 | tee /log; echo done",
    "rm -rf /tmp/* /var/tmp/* ~/.cache; sync",
    'export GNUPGHOME="$(mktemp -d)"; gpg --verify x.asc x; command -v gpgconf && gpgconf --kill all || :; rm -rf "$GNUPGHOME"',
    "locale-gen en_US.UTF-8; update-locale LANG=en_US.UTF-8 &",
    'cargo install --locked ripgrep; strip "${CARGO_HOME:-/usr/local/cargo}/bin/rg" || :',
    'wait_for=${WAIT_FOR:?}; eval "set -- $wait_for"; shift; printf "%s\\n" "$@"',
]

BODIES = [*_APT, *_TAR, *_ARCH, *_USERS, *_FILES, *_CONTROL, *_COMMENTS, *_TOOLS]

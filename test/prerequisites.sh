#!/usr/bin/env bash
# Installs what the tests need from the system: on Debian as root by apt, else
# it says what is missing (a failure under CI=true, for the tests would skip).
# With "standin" also what stand-in images are made of, with "addons" as well
# those of the add-ons.
set -euo pipefail
declare -A package=(
	[gcc]=gcc [mosquitto]=mosquitto [mosquitto_pub]=mosquitto-clients
	[coap-client-openssl]=libcoap3-bin [curl]=curl
	[containerd]=containerd [runc]=runc [iptables]=iptables [nft]=nftables
	[ps]=procps [ip]=iproute2 [conntrack]=conntrack [qemu-aarch64-static]=qemu-user-static
)
[[ "$*" != *standin* ]] || package+=([redis-server]=redis-server [busybox]=busybox-static)
[[ "$*" != *addons* ]] || package+=([influxd]=influxdb [influx]=influxdb-client)
missing=()
for tool in "${!package[@]}"; do
	command -v "$tool" >/dev/null || [ -x "/usr/sbin/$tool" ] || missing+=("${package[$tool]}")
done
[ -e /usr/include/stdio.h ] || missing+=(libc6-dev)
[ -x /usr/lib/cni/ptp ] || missing+=(containernetworking-plugins)
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	echo "installing: ${missing[*]}"
	export DEBIAN_FRONTEND=noninteractive
	# The packages start servers on their own ports; the tests start their own.
	printf '#!/bin/sh\nexit 101\n' >/tmp/osmoslice-policy.$$ && chmod +x /tmp/osmoslice-policy.$$
	policy=/usr/sbin/policy-rc.d
	mine=no; [ -e $policy ] || { mv /tmp/osmoslice-policy.$$ $policy; mine=yes; }
	trap 'rm -f /tmp/osmoslice-policy.$$; [ $mine = no ] || rm -f $policy' EXIT
	apt-get update -qq
	apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
	exit 0
fi
echo "missing for the whole test suite: ${missing[*]} (Debian package names)" >&2
[ "${CI:-}" != true ] || exit 1
echo "the tests that need them will be skipped, visibly" >&2

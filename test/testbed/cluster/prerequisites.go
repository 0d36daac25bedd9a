package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
)

// Missing is why no bed can run here, or nil. Its text says what to do.
func Missing() error {
	if runtime.GOOS != "linux" {
		return fmt.Errorf("clusters of the test bed need Linux, this is %s", runtime.GOOS)
	}
	var packages []string
	for program, name := range map[string]string{
		"containerd": "containerd", "ctr": "containerd", "runc": "runc", "iptables": "iptables",
		"nft": "nftables", "ip": "iproute2", "conntrack": "conntrack", "/usr/lib/cni/ptp": "containernetworking-plugins",
	} {
		if !found(program) && !slices.Contains(packages, name) {
			packages = append(packages, name)
		}
	}
	var all []error
	if os.Geteuid() != 0 {
		all = append(all, errors.New("clusters of the test bed need root: they are made of namespaces, mounts and cgroups"))
	}
	if len(packages) > 0 {
		slices.Sort(packages)
		all = append(all, fmt.Errorf("programs are missing: apt-get install --no-install-recommends %s", strings.Join(packages, " ")))
	}
	return errors.Join(all...)
}

func found(program string) bool {
	if _, err := exec.LookPath(program); err == nil {
		return true
	}
	_, err := os.Stat("/usr/sbin/" + program)
	return err == nil
}

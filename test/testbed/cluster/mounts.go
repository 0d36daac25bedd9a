package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Paths of a node's own mount namespace.
const (
	bedFolder        = "/mnt" // the bed's folder
	volumesFolder    = "/var/lib/volumes"
	containerdSocket = "/run/containerd/containerd.sock"
)

// mountAll gives the node a /run, /var/lib and /var/log of its own, so that what
// runs in it writes nothing of the machine's. The bed's folder comes to /mnt,
// for its own path may be below one of those.
func mountAll(dir Dir, node string) error {
	if err := bind(string(dir), bedFolder); err != nil {
		return err
	}
	for _, path := range []string{"/run", "/var/lib"} {
		if err := unix.Mount("tmpfs", path, "tmpfs", unix.MS_NOSUID, "mode=755"); err != nil {
			return fmt.Errorf("mount tmpfs on %s: %w", path, err)
		}
	}
	own := Dir(bedFolder).join("node", node)
	for name, target := range map[string]string{
		"kubelet": "/var/lib/kubelet", "containerd": "/var/lib/containerd", "cni": "/var/lib/cni",
		"volumes": volumesFolder, "log": "/var/log",
	} {
		source := filepath.Join(own, name)
		if err := errors.Join(os.MkdirAll(source, 0o755), os.MkdirAll(target, 0o755)); err != nil {
			return err
		}
		if err := bind(source, target); err != nil {
			return err
		}
	}
	if err := ownSysctls(); err != nil {
		return err
	}
	// kubelet wants mounts to reach containers; they reach no further than here.
	return unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, "")
}

// ownSysctls puts private files over the machine-wide settings that kubelet
// writes; they already hold what it wants.
func ownSysctls() error {
	for name, value := range map[string]string{
		"vm/overcommit_memory": "1", "vm/panic_on_oom": "0", "kernel/panic": "10", "kernel/panic_on_oops": "1",
		"kernel/keys/root_maxkeys": "1000000", "kernel/keys/root_maxbytes": "25000000",
	} {
		private := "/run/sysctl-" + strings.ReplaceAll(name, "/", "-")
		if err := os.WriteFile(private, []byte(value+"\n"), 0o644); err != nil {
			return err
		}
		err := bind(private, "/proc/sys/"+name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func bind(source, target string) error {
	if err := unix.Mount(source, target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("bind %s to %s: %w", source, target, err)
	}
	return nil
}

package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// A Dir is the folder of one bed; all it writes is below it.
//
//	bed.json             what was asked for
//	keeper.json          the processes, while it runs
//	control.sock         the supervisor's socket
//	kubeconfig/NAME      of each cluster, and "all" with a context for each
//	images/              archives of other tools, made importable
//	log/NODE/*.log       of every component
//	node/NODE/           a node's containers, volumes and store
//	pki/NAME/            a cluster's keys
//	bin/                 testbed itself, kubectl
type Dir string

func (d Dir) join(parts ...string) string {
	return filepath.Join(append([]string{string(d)}, parts...)...)
}

// Kubeconfig is the path of a cluster's kubeconfig; "all" has every cluster as a
// context.
func (d Dir) Kubeconfig(name string) string { return d.join("kubeconfig", name) }

// Bin is a folder for PATH: testbed and kubectl.
func (d Dir) Bin() string { return d.join("bin") }

// Log is the path of one log.
func (d Dir) Log(parts ...string) string { return d.join(append([]string{"log"}, parts...)...) }

// A Bed is what was asked for.
type Bed struct {
	Clusters   []Cluster
	Kubernetes string   // binary
	Images     []string // archives every node imports before it starts
}

// A Keeper is what runs.
type Keeper struct {
	Keeper Process // waits for Init
	Init   Process // process 1 of the bed; its network namespace is the WAN
	Cgroup string
}

// ErrNotUp is what operations on a bed answer when none runs in the folder.
var ErrNotUp = errors.New("no test bed runs")

// Bed reads what was asked for.
func (d Dir) Bed() (Bed, error) {
	var b Bed
	err := readJSON(d.join("bed.json"), &b)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w in %s: start one with \"testbed up NAME...\"", ErrNotUp, d)
	}
	return b, err
}

// Running reads what runs, and ErrNotUp if nothing does.
func (d Dir) Running() (Keeper, error) {
	var k Keeper
	if err := readJSON(d.join("keeper.json"), &k); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	if k.Init.PID == 0 || !k.Init.Alive() {
		return k, fmt.Errorf("%w in %s: start one with \"testbed up NAME...\"", ErrNotUp, d)
	}
	return k, nil
}

func readJSON(path string, into any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// writeJSON lets a reader see the whole file or none.
func writeJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", b, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

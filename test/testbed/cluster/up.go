package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Options of Up.
type Options struct {
	Dir        Dir
	Clusters   []Cluster
	Kubernetes string    // the multi-call binary
	Images     []string  // archives every node imports before it starts
	Executable string    // this program; a copy of it keeps the bed
	Foreground bool      // the bed ends with this process
	Log        io.Writer // progress lines
}

// upTimeout is for all clusters together, on a machine that does much else.
const upTimeout = 10 * time.Minute

// Up starts a bed and waits until every node runs pods and every cluster
// resolves names. When it fails nothing remains but logs. It answers the bed's
// keeper; ended gets the reason when that ends.
func Up(ctx context.Context, o Options) (ended <-chan error, err error) {
	if k, err := o.Dir.Running(); err == nil {
		return nil, fmt.Errorf("a test bed (process %d) already runs in %s: end it with \"testbed down\" or choose another --dir", k.Keeper.PID, o.Dir)
	}
	if err := Down(ctx, o.Dir); err != nil { // what one that was killed has left
		return nil, err
	}
	if err := o.prepare(); err != nil {
		return nil, err
	}
	keeper, err := o.startKeeper()
	if err != nil {
		return nil, err
	}
	exited := make(chan error, 1)
	go func() { exited <- keeper.Wait() }()
	if err := o.await(ctx, exited); err != nil {
		_ = keeper.Process.Signal(syscall.SIGTERM) // it may have ended by itself
		stop := context.WithoutCancel(ctx)
		if k := (Keeper{}); readJSON(o.Dir.join("keeper.json"), &k) == nil {
			err = errors.Join(err, awaitEnd(stop, k.Keeper, k.Init))
		}
		return nil, errors.Join(err, o.Dir.removeBut("log"))
	}
	return exited, o.writeKubeconfigs()
}

// prepare fills the bed's folder.
func (o Options) prepare() error {
	for _, name := range []string{"bin", "log", "kubeconfig"} {
		if err := os.MkdirAll(o.Dir.join(name), 0o755); err != nil {
			return err
		}
	}
	if err := place(o.Executable, o.Dir.join("bin", "testbed")); err != nil {
		return err
	}
	if err := place(o.Kubernetes, o.Dir.join("bin", "kubernetes")); err != nil {
		return err
	}
	if err := os.Symlink("kubernetes", o.Dir.join("bin", "kubectl")); err != nil {
		return err
	}
	images, err := importable(o.Dir.join("images"), o.Images)
	if err != nil {
		return err
	}
	return writeJSON(o.Dir.join("bed.json"), Bed{Clusters: o.Clusters, Kubernetes: o.Kubernetes, Images: images})
}

// place puts a program somewhere by a link, or by a copy across file systems.
func place(from, to string) error {
	if os.Link(from, to) == nil {
		return nil
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}

func (o Options) startKeeper() (*exec.Cmd, error) {
	log, err := os.Create(o.Dir.Log("keeper.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(o.Dir.join("bin", "testbed"), "keep", string(o.Dir))
	cmd.Stdout, cmd.Stderr = log, log
	if o.Foreground {
		// The caller holds on to its thread for as long as the bed shall live.
		cmd.SysProcAttr = die(0)
		cmd.SysProcAttr.Setpgid = true // an interrupt is the caller's to pass on
	} else {
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	}
	return cmd, cmd.Start()
}

// await waits until the bed is ready and prints what is reached on the way.
func (o Options) await(ctx context.Context, exited <-chan error) error {
	ctx, cancel := context.WithTimeout(ctx, upTimeout)
	defer cancel()
	printed := map[string]int{}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if s, err := o.status(ctx); err == nil {
			o.print(s, printed)
			if err := s.Failure(); err != nil {
				return err
			}
			if s.Ready() {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the test bed did not get ready: %w; logs are in %s", ctx.Err(), o.Dir.Log())
		case err := <-exited:
			return fmt.Errorf("the test bed ended: %w: %s", err, lastLines(o.Dir.Log("keeper.log")))
		case <-tick.C:
		}
	}
}

func (o Options) status(ctx context.Context) (Status, error) {
	client, err := Dial(o.Dir)
	if err != nil {
		return Status{}, err
	}
	return client.Status(ctx, false)
}

func (o Options) print(s Status, printed map[string]int) {
	for _, c := range s.Clusters {
		for _, n := range c.Nodes {
			for _, m := range n.Milestones[printed[n.Name]:] {
				fmt.Fprintf(o.Log, "%6.1f s  %-12s %s\n", m.After.Seconds(), n.Name, m.Name)
			}
			printed[n.Name] = len(n.Milestones)
		}
	}
}

func lastLines(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "\n")
}

// writeKubeconfigs writes one for each cluster and one for all.
func (o Options) writeKubeconfigs() error {
	all := clientcmdapi.NewConfig()
	for _, c := range o.Clusters {
		b, err := os.ReadFile(o.Dir.join("pki", c.Name, "admin.kubeconfig"))
		if err != nil {
			return err
		}
		if err := os.WriteFile(o.Dir.Kubeconfig(c.Name), b, 0o600); err != nil {
			return err
		}
		one, err := clientcmd.Load(b)
		if err != nil {
			return err
		}
		all.Clusters[c.Name], all.AuthInfos[c.Name], all.Contexts[c.Name] = one.Clusters[c.Name], one.AuthInfos[c.Name], one.Contexts[c.Name]
	}
	all.CurrentContext = o.Clusters[0].Name
	return clientcmd.WriteToFile(*all, o.Dir.Kubeconfig("all"))
}

// Archives are the archives of a folder, sorted; none for an empty name.
func Archives(folder string) ([]string, error) {
	if folder == "" {
		return nil, nil
	}
	folder, err := filepath.Abs(folder)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("--images: %w", err)
	}
	var all []string
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); !e.IsDir() && slices.Contains([]string{".tar", ".oci"}, ext) && !strings.HasPrefix(e.Name(), ".") {
			all = append(all, filepath.Join(folder, e.Name()))
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("--images %s: no *.tar or *.oci in it", folder)
	}
	return all, nil
}

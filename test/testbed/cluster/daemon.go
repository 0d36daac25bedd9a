package cluster

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"
)

// kubernetesBinary is the multi-call binary as a node sees it.
const kubernetesBinary = bedFolder + "/bin/kubernetes"

// searchPath is a node's: Debian's folders, whatever the caller's was.
const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = []string{"PATH=" + searchPath, "HOME=/root"}
	return cmd
}

// A component that ends is started again; one that ends this often this soon
// cannot be kept running.
const (
	maxQuickEnds = 5
	quick        = 10 * time.Second
)

// keep runs a component until ctx ends, its output in its own log.
func (n *node) keep(ctx context.Context, name, program string, args ...string) {
	go func() {
		// Its death signal hangs on this thread.
		runtime.LockOSThread()
		ends := 0
		for ctx.Err() == nil {
			begin := time.Now()
			err := n.runOnce(ctx, name, program, args)
			if time.Since(begin) < quick {
				ends++
			} else {
				ends = 0
			}
			fmt.Fprintf(os.Stderr, "%s ended after %s: %v\n", name, time.Since(begin).Round(time.Millisecond), err)
			if ends >= maxQuickEnds {
				n.ended <- fmt.Errorf("%s keeps ending: %w: see %s", name, err, n.Dir.Log(n.Node.Name, name+".log"))
				return
			}
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	}()
}

func (n *node) runOnce(ctx context.Context, name, program string, args []string) error {
	log, err := os.OpenFile(filepath.Join(bedFolder, "log", n.Node.Name, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := command(ctx, program, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = die(0)
	return cmd.Run()
}

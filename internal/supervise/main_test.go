package supervise

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain makes the test binary the shim, the function and the tests.
func TestMain(m *testing.M) {
	if ShimMain(os.Args) {
		return
	}
	if len(os.Args) > 2 && os.Args[1] == "function" {
		function(os.Args[2], os.Args[3:])
	}
	os.Setenv("GORACE", "atexit_sleep_ms=0") // processes of a race build linger otherwise
	os.Exit(m.Run())
}

// function is the test function; each behaviour is one failure of real ones.
func function(behaviour string, args []string) {
	switch behaviour {
	case "serve":
		serveHTTP(args[0])
	case "idle":
		forever()
	case "exit":
		fmt.Fprintln(os.Stderr, strings.Join(args[1:], " "))
		code, _ := strconv.Atoi(args[0])
		os.Exit(code)
	case "brood": // three descendants that left the session and refuse to end
		for range 3 {
			c := exec.Command("/proc/self/exe", "function", "stubborn")
			c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
			if err := c.Start(); err != nil {
				panic(err)
			}
		}
		serveHTTP(args[0])
	case "stubborn":
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT)
		fmt.Println("deaf")
		for {
			time.Sleep(time.Hour)
		}
	case "hydra": // whoever is left makes more, three hundred times in all
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT)
		hydra(args[0])
	case "chatty":
		n, _ := strconv.Atoi(args[0])
		for i := range n {
			fmt.Printf("line %d of the output\n", i)
		}
		forever()
	case "hog":
		mib, _ := strconv.Atoi(args[0])
		hold := bytes.Repeat([]byte{1}, mib<<20)
		fmt.Println("holding", len(hold))
		forever()
	}
	panic("unknown behaviour " + behaviour)
}

// hydra counts heads by the size of a file.
func hydra(file string) {
	for {
		f, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
		if err != nil {
			panic(err)
		}
		f.Write([]byte("x"))
		st, _ := f.Stat()
		f.Close()
		if st.Size() < 300 {
			c := exec.Command("/proc/self/exe", "function", "hydra", file)
			c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
			c.Start()
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// serveHTTP answers /healthz until /hang was asked, then never again.
func serveHTTP(at string) {
	l, err := net.Listen("tcp", at)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(98)
	}
	hung := make(chan struct{})
	http.HandleFunc("/healthz", func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-hung:
			<-r.Context().Done()
		default:
			fmt.Fprintln(w, "ok")
		}
	})
	http.HandleFunc("/hang", func(http.ResponseWriter, *http.Request) { close(hung) })
	panic(http.Serve(l, nil))
}

// bench is one unit under test; its directory's path is longer than a socket's
// address has room for.
type bench struct {
	testing.TB
	u    Unit
	spec Spec
	addr string
}

func newBench(t testing.TB, behaviour string, args ...string) *bench {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), strings.Repeat("x", 110))
	b := &bench{TB: t, u: Unit{Dir: dir}}
	b.spec = Spec{Unit: UnitName(dir), Path: exe, Args: append([]string{"function", behaviour}, args...), Dir: t.TempDir(),
		Env: []string{"PATH=" + os.Getenv("PATH")}, Backoff: 5 * time.Millisecond, Grace: time.Second}
	t.Cleanup(b.end)
	return b
}

// serving gives the function an address to listen at and a probe.
func serving(t testing.TB, behaviour string) *bench {
	b := newBench(t, behaviour)
	b.addr = freeAddress(t)
	b.spec.Args = append(b.spec.Args, b.addr)
	b.spec.Probe = Probe{Address: b.addr, Path: "/healthz", Interval: 20 * time.Millisecond, Timeout: 200 * time.Millisecond}
	return b
}

func freeAddress(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (b *bench) launch() {
	b.Helper()
	if err := b.u.Launch(b.Context(), SelfPath, b.spec); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) stop() {
	b.Helper()
	if err := b.u.Stop(b.Context()); err != nil {
		b.Fatal(err)
	}
}

// until waits for a state of an alive shim.
func (b *bench) until(what string, ok func(State) bool) State {
	b.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	late := time.After(time.Minute)
	for {
		st, _, err := b.u.State(b.Context())
		if err == nil && ok(st) {
			return st
		}
		select {
		case <-tick.C:
		case <-late:
			b.Fatalf("never %s: %+v, %v", what, st, err)
		}
	}
}

func (b *bench) ready() State {
	b.Helper()
	return b.until("ready", func(s State) bool { return s.Phase == Ready })
}

// deaf waits until a stubborn function says that it hears no signal.
func (b *bench) deaf() {
	b.Helper()
	b.until("deaf", func(State) bool {
		raw, _ := os.ReadFile(filepath.Join(b.u.Dir, logDir, "function.log"))
		return bytes.Contains(raw, []byte("deaf"))
	})
}

// end removes the unit and asserts that nothing of it is left.
func (b *bench) end() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := b.u.Remove(ctx, ""); err != nil {
		b.Error(err)
	}
	b.nothingLeft()
	if _, err := os.Lstat(b.u.Dir); err == nil {
		b.Error("the directory is left")
	}
}

// nothingLeft asserts that no process, socket or cgroup of the unit is left.
func (b *bench) nothingLeft() {
	b.Helper()
	for _, p := range processes() {
		cmd, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.PID))
		if !p.zombie && (marked(p.PID, []byte(marker+"="+b.spec.Unit)) || bytes.Contains(cmd, []byte(b.u.Dir))) {
			b.Errorf("process left: %d %q", p.PID, cmd)
		}
	}
	for _, dir := range planGroups(b.spec.Unit, Limits{1, 1}, machineHierarchies()).all {
		if _, err := os.Lstat(dir); err == nil {
			b.Errorf("cgroup left: %s", dir)
		}
	}
	if _, err := os.Lstat(filepath.Join(b.u.Dir, socketFile)); err == nil {
		b.Error("control socket left")
	}
}

func ask200(t testing.TB, url string) string {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	if res.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s", url, res.Status)
	}
	return string(body)
}

// forever waits for a signal to end the process. An empty channel would not do:
// without cgo the runtime takes that for a deadlock.
func forever() {
	for {
		time.Sleep(time.Hour)
	}
}

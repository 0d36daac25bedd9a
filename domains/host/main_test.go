package host

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/supervise"
)

// TestMain makes the test binary three things: the shim, the function that the
// tests run, and the tests.
func TestMain(m *testing.M) {
	if supervise.ShimMain(os.Args) {
		return
	}
	if len(os.Args) > 2 && os.Args[1] == "function" {
		function(os.Args[2], os.Args[3:])
	}
	if len(os.Args) == 3 && os.Args[1] == "service" {
		service(os.Args[2])
	}
	os.Setenv("GORACE", "atexit_sleep_ms=0") // processes of a race build linger otherwise
	os.Exit(m.Run())
}

// function is the test function; each behaviour is one failure of real ones.
func function(behaviour string, args []string) {
	switch behaviour {
	case "serve":
		serve(args[0])
	case "exit":
		fmt.Fprintln(os.Stderr, strings.Join(args[1:], " "))
		code, _ := strconv.Atoi(args[0])
		os.Exit(code)
	case "deaf": // lives, and never listens
		fmt.Println("waiting for nothing")
		forever()
	case "brood": // leaves descendants in sessions of their own
		for range 3 {
			c := exec.Command("/proc/self/exe", "function", "stubborn")
			c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
			if err := c.Start(); err != nil {
				panic(err)
			}
		}
		serve(args[0])
	case "stubborn":
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT)
		if len(args) > 0 {
			serve(args[0])
		}
		for {
			time.Sleep(time.Hour)
		}
	case "hog":
		go serve(args[0])
		mib, _ := strconv.Atoi(args[1])
		var hold [][]byte
		for range mib {
			b := make([]byte, 1<<20)
			for i := range b {
				b[i] = byte(i)
			}
			hold = append(hold, b)
		}
		time.Sleep(time.Hour)
		_ = hold
	}
	panic("unknown behaviour " + behaviour)
}

func serve(at string) {
	l, err := net.Listen("tcp", at)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(98)
	}
	http.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	http.HandleFunc("/env", func(w http.ResponseWriter, r *http.Request) {
		for _, kv := range os.Environ() {
			fmt.Fprintln(w, kv)
		}
	})
	http.HandleFunc("/args", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "%q", os.Args) })
	http.HandleFunc("/die", func(http.ResponseWriter, *http.Request) { os.Exit(9) })
	panic(http.Serve(l, nil))
}

// forever waits for a signal to end the process. An empty channel would not do:
// without cgo the runtime takes that for a deadlock.
func forever() {
	for {
		time.Sleep(time.Hour)
	}
}

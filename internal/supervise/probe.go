package supervise

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// aliveFor is how long a function without a probe must live to count as ready.
const aliveFor = 50 * time.Millisecond

// look probes once and tells what it saw: "GET /healthz 200".
func (p Probe) look(ctx context.Context, running time.Duration) (ok bool, saw string) {
	if p.Address == "" {
		if running < aliveFor {
			return false, "alive for less than " + aliveFor.String()
		}
		return true, ""
	}
	ctx, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	what := "connect " + p.Address
	if p.Path != "" {
		what = "GET " + p.Path
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", p.Address)
	if err != nil {
		return false, what + ": " + plain(err)
	}
	defer c.Close()
	if p.Path == "" {
		return true, what + " ok"
	}
	code, err := get(ctx, c, p.Address, p.Path)
	if err != nil {
		return false, what + ": " + plain(err)
	}
	return code/100 == 2, fmt.Sprintf("%s %d", what, code)
}

// get writes a GET (RFC 9112) on c and reads the status. It is done by hand
// because a shim that pulls in a whole HTTP client is twice as large in memory.
func get(ctx context.Context, c net.Conn, host, path string) (int, error) {
	if deadline, ok := ctx.Deadline(); ok {
		_ = c.SetDeadline(deadline)
	}
	_, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: osmoslice-probe\r\nConnection: close\r\n\r\n", path, host)
	if err != nil {
		return 0, err
	}
	line, err := bufio.NewReaderSize(c, 256).ReadSlice('\n')
	if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
		return 0, err
	}
	f := strings.Fields(string(line))
	if len(f) < 2 || !strings.HasPrefix(f[0], "HTTP/1.") {
		return 0, errors.New("no HTTP answer")
	}
	code, err := strconv.Atoi(f[1])
	if err != nil || code < 100 || code > 599 {
		return 0, errors.New("no HTTP status")
	}
	return code, nil
}

// plain says a network error in the words of a person.
func plain(err error) string {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.Is(err, syscall.ECONNRESET):
		return "connection reset"
	}
	return err.Error()
}

package supervise

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// protocolVersion of the control socket. A request is one line of JSON, so is
// the answer. Both sides ignore fields they do not know; an operation the shim
// does not know is answered with an error.
const protocolVersion = 1

type request struct {
	Version int           `json:"version"`
	Op      string        `json:"op"` // "status" or "stop"
	Grace   time.Duration `json:"grace,omitempty"`
}

type answer struct {
	Version int    `json:"version"`
	Error   string `json:"error,omitempty"`
	State   State  `json:"state"`
}

// call is a request on its way through the shim's loop.
type call struct {
	request
	reply chan answer // buffered for one
}

// atDir runs f with a short name of the directory: a socket's address has room
// for 107 bytes (unix(7)), a data directory's path may be longer.
func atDir(dir string, f func(short string) error) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return f("/proc/self/fd/" + strconv.Itoa(int(d.Fd())))
}

// listen opens the control socket, replacing what a killed shim left.
func listen(dir string) (net.Listener, error) {
	_ = os.Remove(filepath.Join(dir, socketFile))
	var l net.Listener
	err := atDir(dir, func(short string) (err error) {
		var lc net.ListenConfig
		l, err = lc.Listen(context.Background(), "unix", filepath.Join(short, socketFile))
		if ul, ok := l.(*net.UnixListener); ok {
			ul.SetUnlinkOnClose(false)
		}
		return err
	})
	return l, err
}

// serve hands requests to the shim's loop until the listener closes.
func serve(l net.Listener, calls chan<- call) {
	for {
		c, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			<-time.After(10 * time.Millisecond) // out of files: the next one may do
			continue
		}
		go answerOne(c, calls)
	}
}

func answerOne(c net.Conn, calls chan<- call) {
	defer c.Close()
	_ = c.SetReadDeadline(time.Now().Add(2 * time.Second))
	in := call{reply: make(chan answer, 1)}
	line, err := bufio.NewReaderSize(c, 1024).ReadSlice('\n')
	if err != nil || json.Unmarshal(line, &in.request) != nil {
		return
	}
	calls <- in
	out := <-in.reply
	out.Version = protocolVersion
	b, err := json.Marshal(out)
	if err == nil {
		_ = c.SetWriteDeadline(time.Now().Add(2 * time.Second))
		_, _ = c.Write(append(b, '\n'))
	}
}

// ask makes one request of the shim in dir.
func ask(ctx context.Context, dir string, r request) (State, error) {
	r.Version = protocolVersion
	var out answer
	err := atDir(dir, func(short string) error {
		var d net.Dialer
		c, err := d.DialContext(ctx, "unix", filepath.Join(short, socketFile))
		if err != nil {
			return err
		}
		defer c.Close()
		defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Now()) })()
		if deadline, ok := ctx.Deadline(); ok {
			_ = c.SetDeadline(deadline)
		}
		b, err := json.Marshal(r)
		if err != nil {
			return err
		}
		if _, err := c.Write(append(b, '\n')); err != nil {
			return err
		}
		return json.NewDecoder(c).Decode(&out)
	})
	if err == nil && out.Error != "" {
		err = fmt.Errorf("shim: %s", out.Error)
	}
	return out.State, err
}

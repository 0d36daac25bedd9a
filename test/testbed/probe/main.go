// Command probe is the program inside the test bed's own images:
//
//	probe pause                       wait for the end, reap orphans (the pod sandbox)
//	probe serve [ADDRESS]             HTTP: who asked whom; also echoes UDP (default :8080)
//	probe get URL [TIMEOUT]           fetch, print, fail on anything but 2xx (default 3s)
//	probe udp HOST:PORT [TIMEOUT]     send one datagram and print the echo
//	probe write FILE TEXT, probe read FILE
//
// The standard library only, so that it builds in seconds.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	arg := func(i int, otherwise string) string {
		if i < len(args) {
			return args[i]
		}
		return otherwise
	}
	switch arg(0, "") {
	case "pause":
		pause()
		return nil
	case "serve":
		return serve(arg(1, ":8080"))
	case "get":
		return within(arg(2, "3s"), func(ctx context.Context) error { return get(ctx, arg(1, "")) })
	case "udp":
		return within(arg(2, "3s"), func(ctx context.Context) error { return echo(ctx, arg(1, "")) })
	case "write":
		return os.WriteFile(arg(1, ""), []byte(arg(2, "")), 0o644)
	case "read":
		b, err := os.ReadFile(arg(1, ""))
		fmt.Print(string(b))
		return err
	}
	return errors.New("usage: probe pause|serve|get|udp|write|read and its arguments")
}

// pause is process 1 of a pod's sandbox: it takes what orphans leave.
func pause() {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGCHLD)
	for s := range signals {
		if s != syscall.SIGCHLD {
			return
		}
		for {
			if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid <= 0 || err != nil {
				break
			}
		}
	}
}

func serve(address string) error {
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	packets, err := net.ListenPacket("udp", address)
	if err != nil {
		return err
	}
	go func() {
		b := make([]byte, 2048)
		for {
			n, from, err := packets.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = packets.WriteTo(fmt.Appendf(nil, "%s heard %s", host, b[:n]), from)
		}
	}()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	server := &http.Server{Addr: address, ReadHeaderTimeout: 5 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "hello from %s to %s\n", host, r.RemoteAddr)
		})}
	context.AfterFunc(ctx, func() { server.Close() })
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func get(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(os.Stdout, answer.Body); err != nil {
		return err
	}
	if answer.StatusCode/100 != 2 {
		return errors.New(answer.Status)
	}
	return nil
}

func echo(ctx context.Context, address string) error {
	c, err := (&net.Dialer{}).DialContext(ctx, "udp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := c.SetDeadline(deadline); err != nil {
			return err
		}
	}
	if _, err := c.Write([]byte("probe")); err != nil {
		return err
	}
	b := make([]byte, 2048)
	n, err := c.Read(b)
	fmt.Println(string(b[:n]))
	return err
}

func within(timeout string, f func(context.Context) error) error {
	d, err := time.ParseDuration(timeout)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return f(ctx)
}

package cluster

import (
	"embed"
	"os"
	"path/filepath"
	"text/template"
)

//go:embed files/*
var files embed.FS

// writeFiles renders the components' configuration into /run/testbed.
func (n *node) writeFiles() error {
	const folder = "/run/testbed"
	t, err := template.ParseFS(files, "files/*")
	if err != nil {
		return err
	}
	for _, path := range []string{folder, folder + "/net.d", "/run/netns", "/run/lock"} {
		if err := os.MkdirAll(path, 0o755); err != nil {
			return err
		}
	}
	values := struct {
		nodeOrder
		Pause, Socket, PKI string
	}{n.nodeOrder, PauseImage, containerdSocket, n.pki("")}
	for _, part := range t.Templates() {
		name := filepath.Join(folder, part.Name())
		if filepath.Ext(name) == ".conflist" {
			name = filepath.Join(folder, "net.d", part.Name())
		}
		f, err := os.Create(name)
		if err != nil {
			return err
		}
		if err := part.Execute(f, values); err != nil {
			f.Close()
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return nil
}

package cluster

import (
	"bytes"
	"embed"
	"text/template"
)

//go:embed manifests/*.yaml
var manifests embed.FS

// render makes what a new cluster is given.
func render(b Bed, c Cluster) (string, error) {
	t, err := template.ParseFS(manifests, "manifests/*.yaml")
	if err != nil {
		return "", err
	}
	values := struct {
		Hosts              []string
		DNS                string
		Image, Provisioner string
	}{Hosts: []string{Operator + " operator.testbed"}, DNS: c.DNS.String(), Image: DNSImage, Provisioner: Provisioner}
	for _, other := range b.Clusters {
		values.Hosts = append(values.Hosts, other.Nodes[0].Address.String()+" "+other.Name+".testbed")
	}
	var all bytes.Buffer
	for _, part := range t.Templates() {
		all.WriteString("---\n")
		if err := part.Execute(&all, values); err != nil {
			return "", err
		}
	}
	return all.String(), nil
}

// The images every node has, and the name of the volumes' provisioner.
const (
	PauseImage  = "docker.io/osmoslice/testbed-pause:1"
	ProbeImage  = "docker.io/osmoslice/testbed-probe:1"
	DNSImage    = "docker.io/osmoslice/testbed-coredns:1.15.0"
	Provisioner = "testbed.osmoslice.io/local"
)

package oci

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// verify passes a blob through and, at its end, refuses it if its content is not
// what the descriptor says.
func verify(r io.Reader, d v1.Descriptor) io.ReadCloser {
	return &verifier{from: r, want: d, sum: sha256.New()}
}

type verifier struct {
	from io.Reader
	want v1.Descriptor
	sum  hash.Hash
	read int64
}

func (v *verifier) Read(p []byte) (int, error) {
	n, err := v.from.Read(p)
	v.sum.Write(p[:n])
	v.read += int64(n)
	if errors.Is(err, io.EOF) {
		if got := hex.EncodeToString(v.sum.Sum(nil)); got != v.want.Digest.Hex || v.read != v.want.Size {
			return n, fmt.Errorf("blob %s (%d bytes) holds sha256:%s (%d bytes)", v.want.Digest, v.want.Size, got, v.read)
		}
	}
	return n, err
}

func (v *verifier) Close() error { return nil }

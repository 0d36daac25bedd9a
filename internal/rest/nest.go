package rest

import (
	"bytes"
	"encoding/json"
	"net/http"

	"github.com/go-openapi/runtime/middleware"

	"github.com/osmoslice/osmoslice/internal/slice"
)

// readNEST fills the profile from the NEST that came with a slice. What the
// caller said under the 3GPP names stands.
func readNEST(s *slice.IoTSlice, said *slice.ServiceProfile) error {
	s.Unmapped = nil
	if len(s.NEST) == 0 || bytes.Equal(s.NEST, []byte("null")) {
		s.NEST = nil
		return nil
	}
	profile, unmapped, err := slice.NESTToProfile(s.NEST)
	if err != nil {
		return err
	}
	s.Unmapped = unmapped
	if said != nil {
		own, err := json.Marshal(said)
		if err != nil {
			return err
		}
		if profile == nil {
			profile = &slice.ServiceProfile{}
		}
		if err := json.Unmarshal(own, profile); err != nil {
			return err
		}
	}
	s.ServiceProfile = profile
	return nil
}

// patchedNEST does the same after a merge patch that has touched the NEST.
func patchedNEST(s *slice.IoTSlice, patch []byte) error {
	var touched struct {
		NEST    json.RawMessage       `json:"nest"`
		Profile *slice.ServiceProfile `json:"serviceProfile"`
	}
	if err := json.Unmarshal(patch, &touched); err != nil || touched.NEST == nil {
		return err
	}
	return readNEST(s, touched.Profile)
}

// nest answers the NEST a slice came with, verbatim, or its profile as one.
func (a *api) nest(r *http.Request, id string) middleware.Responder {
	s, err := a.slice(r, id)
	if err != nil {
		return a.fail(r, err)
	}
	body := s.NEST
	if len(body) == 0 {
		if s.ServiceProfile == nil {
			return answer{status: http.StatusOK, body: []byte(`{"attributes":[]}`)}
		}
		if body, _, err = slice.ProfileToNEST(s.ServiceProfile); err != nil {
			return a.fail(r, err)
		}
	}
	return answer{status: http.StatusOK, body: body}
}

package slice

import "encoding/json"

func nestToProfile(raw json.RawMessage, c *checks, at string) (*ServiceProfile, []string) { return nil, nil }

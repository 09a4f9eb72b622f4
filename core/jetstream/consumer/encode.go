package consumer

import (
	"encoding/json"
	"fmt"
)

// Encode is a configuration as JSON, as operations and stores keep it.
func (c *Config) Encode() []byte {
	b, err := json.Marshal(c)
	if err != nil {
		// Every field is of a type that marshals.
		panic("consumer: a config does not marshal: " + err.Error())
	}
	return b
}

// Decode reads what Encode wrote.
func Decode(b []byte) (*Config, error) {
	var c Config
	if err := json.Unmarshal(b, &c); err != nil {
		return nil, fmt.Errorf("consumer config: %w", err)
	}
	return &c, nil
}

//go:build !no_mqtt

package main

import (
	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/mqtt"
)

func mqttModule() core.Module { return mqtt.New() }

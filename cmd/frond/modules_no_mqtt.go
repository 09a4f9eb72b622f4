//go:build no_mqtt

package main

import "github.com/frondmq/frond/core"

func mqttModule() core.Module { return nil }

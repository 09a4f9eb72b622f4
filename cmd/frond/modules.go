package main

import "github.com/frondmq/frond/core"

// modules are the protocols of this build beside the client port. Each has two
// files, chosen by a build tag: one with it, one without.
func modules() []core.Module {
	var list []core.Module
	for _, m := range []core.Module{leafModule(), mqttModule()} {
		if m != nil {
			list = append(list, m)
		}
	}
	return list
}

func has(mods []core.Module, name string) bool {
	for _, m := range mods {
		if m.Name() == name {
			return true
		}
	}
	return false
}

//go:build no_leaf

package main

import "github.com/frondmq/frond/core"

func leafModule() core.Module { return nil }

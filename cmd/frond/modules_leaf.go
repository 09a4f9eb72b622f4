//go:build !no_leaf

package main

import (
	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/leaf"
)

func leafModule() core.Module { return leaf.New() }

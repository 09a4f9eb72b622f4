//go:build no_mqtt || lean

package main

func forget() {}

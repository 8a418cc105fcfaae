"""Deploying: a Run as a folder that any container engine builds, with what a cloud is told of it. Nothing is sent."""

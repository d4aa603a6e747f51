"""Tests of data/drift/accidents."""

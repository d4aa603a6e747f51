"""A Prefect server of one's own: processes, work pools, deployments, alerts. No run happens here."""

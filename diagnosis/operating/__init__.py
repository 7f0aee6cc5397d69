"""What whoever runs the site needs: health, figures, log lines, backups."""

"""The smallest contract file that there can be."""

MINIMAL = """\
apiVersion: v3.2.0
kind: DataContract
id: parking
version: 1.0.0
status: active
schema:
  - name: parking
    properties:
      - {name: id, logicalType: string, required: true}
      - {name: event_time, logicalType: timestamp, required: true}
      - {name: free_places, logicalType: integer}
"""

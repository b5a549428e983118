/* What the random streams of this layer are for; the numbers are part of what a seed means. */
#ifndef SAP_DATA_STREAMS_H
#define SAP_DATA_STREAMS_H

enum { SAP__STREAM_ORDER = 2, SAP__STREAM_HOLD_OUT = 3, SAP__STREAM_AUGMENT = 4 };

#endif

# The session in the formats of other tools. Nothing here is made unless it is asked for: `snakemake export_traces`.

# Aligned movies where there are any; else the compensated ones are warped on the way.
EXPORT_INPUT = {
    "movies": every(ALIGNED_MOVIE or "compensated"),
    "fields": [] if ALIGNED_MOVIE else every("to_reference"),
    "center": [] if ALIGNED_MOVIE else CENTER_AVERAGE,
    "mask": session.path("final_png"),
}


rule export_suite2p:
    """For suite2p: the session in the common frame as a registered movie, cropped to the session mask."""
    input:
        **EXPORT_INPUT,
    output:
        movie=session.path("suite2p", file="data.bin"),
        second=[session.path("suite2p", file="data_chan2.bin")] if session.channels > 1 else [],
        ops=session.path("suite2p", file="ops.npy"),
        db=session.path("suite2p", file="db.npy"),
        settings=session.path("suite2p", file="settings.npy"),
        facts=session.path("suite2p", file="session.json"),
    log:
        "logs/export_suite2p.log",
    benchmark:
        "benchmarks/export_suite2p.tsv"
    conda:
        "../envs/cpu.yaml"
    threads: threads
    resources:
        mem_mb=lambda wildcards, attempt: resources.export_mb(session.recordings, attempt),
        runtime=lambda wildcards, attempt: resources.export_minutes(session.recordings, attempt),
    params:
        names=session.names,
        movie=export_movie,
        kernel=KERNEL,
    script:
        "../scripts/export_suite2p.py"


rule export_caiman:
    """For CaImAn: the session in the common frame as memory maps in order F, one per channel."""
    input:
        **EXPORT_INPUT,
    output:
        [
            session.path(
                "caiman",
                channel=channel + 1,
                height=session.recordings[0].height,
                width=session.recordings[0].width,
                frames=session.compensated_frames(options["bin_size"]),
            )
            for channel in range(session.channels)
        ],
    log:
        "logs/export_caiman.log",
    benchmark:
        "benchmarks/export_caiman.tsv"
    conda:
        "../envs/cpu.yaml"
    threads: threads
    resources:
        mem_mb=lambda wildcards, attempt: resources.export_mb(session.recordings, attempt),
        runtime=lambda wildcards, attempt: resources.export_minutes(session.recordings, attempt),
    params:
        movie=export_movie,
        kernel=KERNEL,
    script:
        "../scripts/export_caiman.py"


rule export_traces:
    """For your own analysis: HDF5 with a matrix of frames by pixels that are valid everywhere."""
    input:
        **EXPORT_INPUT,
    output:
        traces=session.path("traces"),
    log:
        "logs/export_traces.log",
    benchmark:
        "benchmarks/export_traces.tsv"
    conda:
        "../envs/cpu.yaml"
    threads: threads
    resources:
        mem_mb=lambda wildcards, attempt: resources.export_mb(session.recordings, attempt),
        runtime=lambda wildcards, attempt: resources.export_minutes(session.recordings, attempt),
    params:
        names=session.names,
        movie=export_movie,
        kernel=KERNEL,
    script:
        "../scripts/export_traces.py"


rule export_nwb:
    """For NWB (DANDI): every recording's corrected movie with its shifts, displacements and the session mask."""
    input:
        **EXPORT_INPUT,
        average=CENTER_AVERAGE,
        to_reference=every("to_reference"),
        statistics=nwb_statistics,
        flows=every("flow") if options["save_w"] else [],
    output:
        nwb=session.path("nwb"),
    log:
        "logs/export_nwb.log",
    benchmark:
        "benchmarks/export_nwb.tsv"
    conda:
        "../envs/cpu.yaml"
    threads: threads
    resources:
        mem_mb=lambda wildcards, attempt: resources.export_mb(session.recordings, attempt),
        runtime=lambda wildcards, attempt: 2 * resources.export_minutes(session.recordings, attempt),
    params:
        recordings=[(recording.name, recording.path, recording.frames) for recording in session.recordings],
        facts=nwb_facts,
        movie=export_movie,
        kernel=KERNEL,
    script:
        "../scripts/export_nwb.py"

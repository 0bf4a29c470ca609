namespace Grok1Cluster.Cluster.Security;

/// <summary>What the holder of a certificate is in the cluster, and with it what it may ask others for (<see cref="Permissions"/>).</summary>
[Flags]
public enum NodeRole
{
    None = 0,

    /// <summary>Sends calls to workers.</summary>
    Coordinator = 1,

    /// <summary>Computes experts.</summary>
    Worker = 2,

    /// <summary>A person or a program that looks at the cluster, and computes nothing with it.</summary>
    Operator = 4,

    /// <summary>The service that gives certificates for tokens. Only the CA itself takes this role; nothing is issued for it.</summary>
    Enrolment = 8,
}
